//! Reading frames from a stream that may be cut anywhere.

use bytes::{Bytes, BytesMut};

use crate::credit::Amount;
use crate::limits::{CONTROL_BYTES_MAX, DATA_BYTES_MAX, HANDSHAKE_BYTES_MAX};
use crate::message::{HEAD_BYTES_MAX, HEAD_BYTES_MIN, RecordHead, cost_bytes};

use super::control::{Control, ControlKind};
use super::error::WireError;
use super::header::{
    DATA_HEADER_BYTES, DataHeader, FrameHeader, HEADER_BYTES, Kind, PREFACE_BYTES, Preface,
    PublishHeader, RunKind,
};

/// What a peer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Its first bytes.
    Preface(Preface),
    /// A control frame.
    Control(Control),
    /// Whole messages. A data frame that arrives in pieces comes as several of these, each with its own share of the
    /// numbers, so nothing waits for the rest of a frame.
    Data(DataRun),
    /// Whole published messages, in pieces in the same way.
    Publish(PublishRun),
    /// Whole copies, in pieces in the same way; the first delivery number in the header is that of a copy.
    Copies(DataRun),
    /// A message that has only begun to arrive. Said once of each that does not come in one piece: who may not send it is
    /// found out before there is room made for it.
    Arriving(Arriving),
}

/// A message whose length is known, and that is not there yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arriving {
    /// The run that it is the next one of.
    pub run: RunHeader,
    /// What it costs.
    pub cost: Amount,
}

/// Whole messages with consecutive numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataRun {
    /// Their numbers.
    pub header: DataHeader,
    /// Their records, one after the other.
    pub records: Bytes,
    /// Whether any of them has a shelf life.
    pub expires: bool,
}

/// Whole published messages with consecutive numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishRun {
    /// Their numbers.
    pub header: PublishHeader,
    /// Their records, one after the other.
    pub records: Bytes,
}

/// What stands before the records of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunHeader {
    /// Of messages, calls or answers.
    Data(DataHeader),
    /// Of published messages.
    Publish(PublishHeader),
    /// Of copies.
    Copies(DataHeader),
}

impl RunHeader {
    const fn count(&self) -> u32 {
        match self {
            RunHeader::Data(header) | RunHeader::Copies(header) => header.count,
            RunHeader::Publish(header) => header.count,
        }
    }

    /// Gives the first `count` messages to a frame, and goes on behind them.
    fn cut(&mut self, count: u32, records: Bytes, expires: bool) -> Frame {
        match self {
            RunHeader::Data(next) => Frame::Data(cut(next, count, records, expires)),
            RunHeader::Copies(next) => Frame::Copies(cut(next, count, records, expires)),
            RunHeader::Publish(next) => {
                let header = PublishHeader { count, ..*next };
                next.first_seq += u64::from(count);
                next.from = next.first_seq;
                next.count -= count;
                Frame::Publish(PublishRun { header, records })
            }
        }
    }
}

fn cut(next: &mut DataHeader, count: u32, records: Bytes, expires: bool) -> DataRun {
    let header = DataHeader { count, ..*next };
    next.first_delivery += u64::from(count);
    next.first_seq += u64::from(count);
    next.count -= count;
    DataRun { header, records, expires }
}

/// Cuts the bytes of one direction of a link into frames.
///
/// Payloads are slices of what was read. Nothing is reserved on a peer's word: lengths are checked against this
/// side's limits as soon as they are there, and before the handshake only small frames pass.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    message_bytes_max: usize,
    wanted: usize,
}

#[derive(Debug)]
enum State {
    Preface,
    Hello,
    Header,
    /// In a run, whose header moves on with its records. Of the next one that is not whole it has been `said`.
    Records {
        next: RunHeader,
        bytes_left: usize,
        said: bool,
    },
    Failed(WireError),
}

impl Decoder {
    /// At the start of a link, for a side that takes payloads of up to `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        Self { state: State::Preface, message_bytes_max, wanted: PREFACE_BYTES }
    }

    /// How many bytes must be in the input, in all, before the next call can give anything. A hint for readers.
    #[must_use]
    pub const fn wanted(&self) -> usize {
        self.wanted
    }

    /// Takes the next frame from the front of `input`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// If the bytes break the rules of the wire. The link is of no more use: later calls give the same error.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let result = self.step(input);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn step(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        loop {
            match &mut self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Preface => return self.preface(input),
                State::Hello | State::Header => {
                    let Some(header) = self.header(input)? else {
                        return Ok(None);
                    };
                    match header.kind {
                        Kind::Control(kind) => return self.control(kind, header.body_bytes, input),
                        Kind::Run(kind) if self.run(kind, header.body_bytes, input)? => {}
                        Kind::Run(_) => return Ok(None),
                    }
                }
                State::Records { next, bytes_left, said } => {
                    let cut = cut_records(next, *bytes_left, input, self.message_bytes_max)?;
                    *bytes_left -= cut.bytes;
                    *said &= cut.frame.is_none();
                    if *bytes_left == 0 {
                        self.state = State::Header;
                        return Ok(cut.frame);
                    }
                    self.wanted = cut.wanted;
                    let is_news = cut.frame.is_none() && !*said;
                    let Some(cost) = cut.next_cost.filter(|_| is_news) else {
                        return Ok(cut.frame);
                    };
                    *said = true;
                    return Ok(Some(Frame::Arriving(Arriving { run: *next, cost })));
                }
            }
        }
    }

    fn preface(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let Some(bytes) = input.first_chunk::<PREFACE_BYTES>() else {
            self.wanted = PREFACE_BYTES;
            return Ok(None);
        };
        let preface = Preface::read(bytes)?;
        let _ = input.split_to(PREFACE_BYTES);
        self.state = State::Hello;
        Ok(Some(Frame::Preface(preface)))
    }

    /// Reads a header, and leaves it in the input: it goes with what must be there beside it.
    fn header(&mut self, input: &BytesMut) -> Result<Option<FrameHeader>, WireError> {
        self.wanted = HEADER_BYTES;
        let Some(bytes) = input.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let header = FrameHeader::read(*bytes)?;
        let bytes_max = self.body_bytes_max(header.kind)?;
        if header.body_bytes > bytes_max {
            return Err(WireError::FrameTooLong { bytes: header.body_bytes, bytes_max });
        }
        Ok(Some(header))
    }

    fn body_bytes_max(&self, kind: Kind) -> Result<usize, WireError> {
        match (&self.state, kind) {
            (State::Hello, Kind::Control(ControlKind::Hello | ControlKind::Close)) => {
                Ok(HANDSHAKE_BYTES_MAX)
            }
            (State::Hello, _) => Err(WireError::BeforeHello),
            (_, Kind::Control(_)) => Ok(CONTROL_BYTES_MAX),
            (_, Kind::Run(_)) => {
                let one_message = HEAD_BYTES_MAX + self.message_bytes_max;
                Ok(DATA_HEADER_BYTES + DATA_BYTES_MAX + one_message)
            }
        }
    }

    /// Begins with the records of a run, if all that stands before them is there.
    fn run(
        &mut self,
        kind: RunKind,
        body_bytes: usize,
        input: &mut BytesMut,
    ) -> Result<bool, WireError> {
        let Some(bytes_left) = body_bytes.checked_sub(DATA_HEADER_BYTES) else {
            return Err(WireError::Malformed("a run of messages"));
        };
        self.wanted = HEADER_BYTES + DATA_HEADER_BYTES;
        let Some(bytes) = input.get(HEADER_BYTES..).and_then(|b| b.first_chunk()) else {
            return Ok(false);
        };
        let next = match kind {
            RunKind::Data => RunHeader::Data(DataHeader::read(*bytes)?),
            RunKind::Publish => RunHeader::Publish(PublishHeader::read(*bytes)?),
            RunKind::Copies => RunHeader::Copies(DataHeader::read(*bytes)?),
        };
        if bytes_left / HEAD_BYTES_MIN < next.count() as usize {
            return Err(WireError::Malformed("a run of messages"));
        }
        let _ = input.split_to(HEADER_BYTES + DATA_HEADER_BYTES);
        self.state = State::Records { next, bytes_left, said: false };
        Ok(true)
    }

    fn control(
        &mut self,
        kind: ControlKind,
        body_bytes: usize,
        input: &mut BytesMut,
    ) -> Result<Option<Frame>, WireError> {
        self.wanted = HEADER_BYTES + body_bytes;
        if input.len() < self.wanted {
            return Ok(None);
        }
        let frame = input.split_to(self.wanted);
        let (_, body) = frame.split_at(HEADER_BYTES);
        let control = Control::read_body(kind, body)?;
        self.state = State::Header;
        Ok(Some(Frame::Control(control)))
    }
}

/// What of a run was in the input.
struct Cut {
    bytes: usize,
    /// The messages that were whole, if there were any.
    frame: Option<Frame>,
    /// What the next one costs, if that is known already.
    next_cost: Option<Amount>,
    /// How many bytes must be in the input before there is more to cut.
    wanted: usize,
}

/// Takes all whole records of the run at hand that are in the input.
fn cut_records(
    next: &mut RunHeader,
    bytes_left: usize,
    input: &mut BytesMut,
    message_bytes_max: usize,
) -> Result<Cut, WireError> {
    let there = input.get(..bytes_left.min(input.len())).unwrap_or_default();
    let (mut at, mut count, mut expires) = (0, 0, false);
    let (mut next_cost, mut wanted) = (None, 0);
    while count < next.count() {
        let rest = there.get(at..).unwrap_or_default();
        let Some(head) = RecordHead::read(rest, message_bytes_max)? else {
            wanted = rest.len() + 1;
            break;
        };
        if head.record_bytes() > bytes_left - at {
            return Err(WireError::Malformed("a run of messages"));
        }
        if head.record_bytes() > rest.len() {
            wanted = head.record_bytes();
            next_cost = Some(Amount::new(1, cost_bytes(1, wanted as u64)));
            break;
        }
        at += head.record_bytes();
        count += 1;
        expires |= head.expires.is_some();
    }
    // The count and the length of a frame must end together; and what has all its bytes must be whole.
    let all_counted = count == next.count();
    let all_there = there.len() == bytes_left;
    if all_counted != (at == bytes_left) || (all_there && !all_counted) {
        return Err(WireError::Malformed("a run of messages"));
    }
    let frame = (count > 0).then(|| next.cut(count, input.split_to(at).freeze(), expires));
    Ok(Cut { bytes: at, frame, next_cost, wanted })
}
