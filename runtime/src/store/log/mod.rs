//! Reads sled's log without sled.
//!
//! When sled opens a log it takes what it cannot read for the work of a crash: near the end it cuts the log off there and
//! writes zeros over all that follows, further up it passes over the rest of the segment. So one wrong byte of a disk would
//! cost messages that were safe, some of them without a word. All of the log is read here first, checksum by checksum;
//! `survey` tells what a crash may have left from what it cannot have, and `rescue` gets out what is left of a log that
//! sled must not see.
//!
//! The format is that of sled 0.34, as its source has it:
//!
//! ```text
//! log      segments of one length, in any order; each has its number's place in all that was ever written (its lsn)
//! segment  header: !CRC-32 u32 LE over the rest, lsn ^ i64::MAX u64 LE, stable lsn ^ i64::MAX u64 LE; messages
//! message  !CRC-32 u32 LE over body and the rest of the header, kind u8, body's length, number of the segment, page; body
//! ```

mod message;
mod page;
mod rescue;
mod survey;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

pub(super) use rescue::Rescue;
pub(super) use survey::{Survey, Verdict};

use super::SEGMENT_BYTES;
use message::{HEADER_BYTES_MAX, Header, Kind, Message, SEGMENT_HEADER_BYTES, SegmentHeader};

/// Its file in a store's folder.
pub(super) const NAME: &str = "db";

/// The last place in a segment where a message may begin.
const LAST_MESSAGE_AT: usize = SEGMENT_BYTES - HEADER_BYTES_MAX;

/// What a disk reads at once, or cannot read at all.
const SECTOR_BYTES: usize = 4 << 10;

/// A log, open.
pub(super) struct Log {
    file: File,
    /// What the disk does not give is passed over.
    is_wreck: bool,
    /// Those that can be told, in the order in which they were written.
    segments: Vec<Segment>,
    /// The length of the file.
    bytes: u64,
    buffer: Vec<u8>,
}

/// What is known of a segment before it is read.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// Where it stands in the file.
    offset: u64,
    /// Up to where the log was stable when it was begun; none if its header cannot be read.
    stable: Option<u64>,
}

/// What stands in a segment.
enum Found<'a> {
    /// A message, and where its body stands in the file.
    Message { message: Message<'a>, at: u64, lsn: u64 },
    /// Bytes of the file that are no message: those between two, or the rest of the segment; and the page that they are about,
    /// if they were one message whose header can be read.
    Gap { bytes: Range<u64>, lsn: u64, page: Option<u64> },
}

impl Log {
    /// The log in `folder`; none if there is no such file.
    pub(super) fn open(folder: &Path) -> io::Result<Option<Self>> {
        Self::open_as(folder, false)
    }

    /// The same, of which everything is to be had that the disk still gives.
    pub(super) fn open_wreck(folder: &Path) -> io::Result<Option<Self>> {
        Self::open_as(folder, true)
    }

    fn open_as(folder: &Path, is_wreck: bool) -> io::Result<Option<Self>> {
        let file = match File::open(folder.join(NAME)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        let buffer = Vec::with_capacity(SEGMENT_BYTES);
        let mut log = Self { file, is_wreck, segments: Vec::new(), bytes, buffer };
        for offset in (0..bytes).step_by(SEGMENT_BYTES) {
            log.load(offset, SEGMENT_HEADER_BYTES)?;
            let named = Segment::in_header(&log.buffer, offset);
            if named.is_none() {
                log.load(offset, SEGMENT_BYTES)?;
            }
            let segment = named.or_else(|| Segment::in_messages(&log.buffer, offset));
            log.segments.extend(segment);
        }
        log.segments.sort_by_key(|segment| segment.number);
        Ok(Some(log))
    }

    /// The length of its file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the beginning of a segment, as far as the file goes.
    fn load(&mut self, offset: u64, bytes: usize) -> io::Result<()> {
        self.buffer.clear();
        self.file.seek(SeekFrom::Start(offset))?;
        match (&mut self.file).take(bytes as u64).read_to_end(&mut self.buffer) {
            Err(_) if self.is_wreck => {
                let end = self.bytes.min(offset + bytes as u64);
                self.load_sectors(offset, end.saturating_sub(offset) as usize);
                Ok(())
            }
            read => read.map(drop),
        }
    }

    /// The same, sector by sector: one that the disk does not give is zeros, which are never taken for what was written.
    fn load_sectors(&mut self, offset: u64, bytes: usize) {
        self.buffer.clear();
        self.buffer.resize(bytes, 0);
        let file = &mut self.file;
        for (at, sector) in
            (offset..).step_by(SECTOR_BYTES).zip(self.buffer.chunks_mut(SECTOR_BYTES))
        {
            let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(sector));
            if read.is_err() {
                sector.fill(0);
            }
        }
    }

    /// Visits all that can be told of in the order in which it was written, with its segment's place in that order. So all of the
    /// file is read that sled reads when it opens: an error of the disk comes before sled does, and what was read once is in the
    /// system's memory when sled asks for it.
    fn visit(&mut self, mut each: impl FnMut(usize, Found<'_>)) -> io::Result<()> {
        for index in 0..self.segments.len() {
            let segment = self.segments[index];
            self.load(segment.offset, SEGMENT_BYTES)?;
            segment.visit(&self.buffer, |found| each(index, found));
        }
        Ok(())
    }

    /// Bytes of the file.
    fn bytes_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Segment {
    /// A segment whose header says which it is.
    fn in_header(bytes: &[u8], offset: u64) -> Option<Self> {
        let header = SegmentHeader::read(bytes)?;
        let number = header.lsn / SEGMENT_BYTES as u64;
        Some(Self { number, offset, stable: Some(header.stable) })
    }

    /// A segment of which nothing says it but its messages.
    fn in_messages(bytes: &[u8], offset: u64) -> Option<Self> {
        let mut starts = SEGMENT_HEADER_BYTES..bytes.len();
        let first = starts.find_map(|at| Message::read(&bytes[at..], None))?;
        Some(Self { number: first.segment, offset, stable: None })
    }

    fn lsn(&self, at: usize) -> u64 {
        self.number.saturating_mul(SEGMENT_BYTES as u64).saturating_add(at as u64)
    }

    fn visit(&self, bytes: &[u8], mut each: impl FnMut(Found<'_>)) {
        let mut at = SEGMENT_HEADER_BYTES;
        while at <= LAST_MESSAGE_AT {
            let lsn = self.lsn(at);
            let Some(message) = self.message_at(bytes, at) else {
                let (end, page) = self.gap_at(bytes, at);
                let bytes = self.offset + at as u64..self.offset + end as u64;
                each(Found::Gap { bytes, lsn, page });
                at = end;
                continue;
            };
            let (kind, end) = (message.kind, at + message.length);
            let body = self.offset + (end - message.body.len()) as u64;
            each(Found::Message { message, at: body, lsn });
            if kind == Kind::Cap {
                return;
            }
            at = end;
        }
    }

    fn message_at<'a>(&self, bytes: &'a [u8], at: usize) -> Option<Message<'a>> {
        Message::read(bytes.get(at..)?, Some(self.number))
    }

    /// Where the bytes end that are no message, and the page that they are about.
    fn gap_at(&self, bytes: &[u8], at: usize) -> (usize, Option<u64>) {
        // A message that only has a wrong byte somewhere says where the next one begins. What is in it is not looked at: there
        // may be messages of other logs in it, as of a copy that somebody sends.
        let header = bytes.get(at..).and_then(Header::read);
        if let Some(header) = header.filter(|header| header.segment == self.number) {
            let end = at.saturating_add(header.message_bytes());
            let is_last = (LAST_MESSAGE_AT + 1..=bytes.len()).contains(&end);
            if is_last || self.message_at(bytes, end).is_some() {
                return (end, header.kind.is_of_a_page().then_some(header.page));
            }
        }
        let mut starts = at..=LAST_MESSAGE_AT.min(bytes.len());
        let end = starts.find(|at| self.message_at(bytes, *at).is_some());
        (end.unwrap_or(SEGMENT_BYTES), None)
    }
}
