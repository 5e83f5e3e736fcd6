//! What a disk may hold after a power cut.
//!
//! The rules, all of them no kinder than POSIX: a change to a file is sure once a sync of that file that began after it
//! has succeeded. Of the later ones any part may be there, in sectors, and the file's size may be any that it had. A
//! name is sure once its folder was synced; of later changes of names, each folder has some first part.

mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::journal::Event;
use reader::Reader;

const SECTOR_BYTES: usize = 512;

/// Files with their bytes, and folders.
pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Which syncs count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Syncs {
    /// All, as they should.
    Kept,
    /// All but the last one before the cut.
    WithoutLast,
    /// None of those of files; those of folders do.
    OfNames,
    /// None of those of sled's file, which is synced after each flush of sled's instead.
    AfterFlush,
}

/// Everything that was asked of a disk, by what it was asked of.
#[derive(Default)]
pub(crate) struct Disk {
    files: Vec<Log<Vec<u8>, Change>>,
    /// The first is the folder that holds all.
    folders: Vec<Log<Names, Naming>>,
    /// The moments at which a sync had succeeded.
    pub(crate) sync_ends: Vec<usize>,
}

/// What is in a folder.
type Names = BTreeMap<PathBuf, Node>;

/// What was done to one file or folder, with the moments.
struct Log<S, C> {
    /// What it was at first, which is sure.
    start: S,
    changes: Vec<(usize, C)>,
    syncs: Vec<Sync>,
}

struct Sync {
    begin: usize,
    end: usize,
    by: By,
}

/// Who asked for a sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Sled,
    Ourselves,
    /// Nobody; we would, if it were not enough that sled does.
    Nobody,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(usize),
    Folder(usize),
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

enum Naming {
    Put(PathBuf, Node),
    Drop(PathBuf),
    Move(PathBuf, PathBuf),
}

/// What becomes of the unsure changes of one file.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Kept,
    FirstPart(usize),
    AllBut(usize),
    Only(usize),
    SomeWhole,
    SomeSectors,
}

impl<S, C> Log<S, C> {
    fn of(start: S) -> Self {
        Self { start, changes: Vec::new(), syncs: Vec::new() }
    }

    /// The changes that are sure when the power goes before this moment, and those that were made but are not.
    fn split(&self, moment: usize, counts: impl Fn(&Sync) -> bool) -> [&[(usize, C)]; 2] {
        let before = |moment| self.changes.partition_point(|(made, _)| *made < moment);
        let syncs = self.syncs.iter().filter(|sync| sync.end < moment && counts(sync));
        let sure = syncs.map(|sync| sync.begin).max().map_or(0, before);
        [&self.changes[..sure], &self.changes[sure..before(moment)]]
    }
}

impl Disk {
    /// What these events did, below `root`, which was like this at first.
    pub(crate) fn new(root: &Path, start: &Image, events: Vec<Event>) -> Self {
        let mut reader = Reader::of(root);
        // A folder comes before what is in it.
        start.iter().for_each(|(path, bytes)| reader.find(root.join(path), bytes.as_deref()));
        for (moment, event) in events.into_iter().enumerate() {
            reader.read(moment, event);
        }
        reader.disk
    }

    /// How many bytes a power cut before this moment may take.
    pub(crate) fn unsure_bytes(&self, moment: usize) -> usize {
        let changes =
            self.files.iter().flat_map(|log| log.split(moment, |sync| sync.by != By::Nobody)[1]);
        let bytes = changes.map(|(_, change)| match change {
            Change::Write { bytes, .. } => bytes.len(),
            Change::Size(_) => 1,
        });
        bytes.sum()
    }

    /// One of the images that a power cut before this moment may leave, and the story of it.
    pub(crate) fn cut(
        &self,
        moment: usize,
        syncs: Syncs,
        dice: &mut ChaCha8Rng,
    ) -> (Image, String) {
        let before = self.sync_ends.partition_point(|end| *end < moment);
        let last_sync = before.checked_sub(1).map(|last| self.sync_ends[last]);
        let story = format!("cut before event {moment}");
        let mut cut = Cut { disk: self, moment, syncs, last_sync, dice, story };
        let image = self.image(&mut cut);
        (image, cut.story)
    }

    /// What is there before this moment if the power stays.
    pub(crate) fn whole(&self, moment: usize) -> Image {
        self.image(&mut Whole { disk: self, moment })
    }

    fn image(&self, view: &mut impl View) -> Image {
        let mut image = Image::new();
        let mut open = vec![(PathBuf::new(), 0)];
        while let Some((path, folder)) = open.pop() {
            for (name, node) in view.names(&path, folder) {
                let path = path.join(name);
                let bytes = match node {
                    Node::File(file) => Some(view.bytes(&path, file)),
                    Node::Folder(folder) => {
                        open.push((path.clone(), folder));
                        None
                    }
                };
                image.insert(path, bytes);
            }
        }
        image
    }
}
/// What somebody finds on the disk.
trait View {
    fn names(&mut self, path: &Path, folder: usize) -> Names;
    fn bytes(&mut self, path: &Path, file: usize) -> Vec<u8>;
}

struct Whole<'a> {
    disk: &'a Disk,
    moment: usize,
}

impl View for Whole<'_> {
    fn names(&mut self, _path: &Path, folder: usize) -> Names {
        let log = &self.disk.folders[folder];
        let mut names = log.start.clone();
        let done = log.split(self.moment, |_| true).into_iter().flatten();
        done.for_each(|(_, naming)| naming.apply(&mut names));
        names
    }

    fn bytes(&mut self, _path: &Path, file: usize) -> Vec<u8> {
        let log = &self.disk.files[file];
        let mut bytes = log.start.clone();
        let done = log.split(self.moment, |_| true).into_iter().flatten();
        done.for_each(|(_, change)| change.apply(&mut bytes, |_| true));
        bytes
    }
}

struct Cut<'a> {
    disk: &'a Disk,
    moment: usize,
    syncs: Syncs,
    last_sync: Option<usize>,
    dice: &'a mut ChaCha8Rng,
    story: String,
}

impl Cut<'_> {
    fn counts(&self, sync: &Sync, is_file: bool) -> bool {
        match (self.syncs, sync.by) {
            (Syncs::AfterFlush, by) => by != By::Sled,
            (_, By::Nobody) => false,
            (Syncs::Kept, _) => true,
            (Syncs::WithoutLast, _) => Some(sync.end) != self.last_sync,
            (Syncs::OfNames, _) => !is_file,
        }
    }
}

impl View for Cut<'_> {
    fn names(&mut self, path: &Path, folder: usize) -> Names {
        let log = &self.disk.folders[folder];
        let [sure, unsure] = log.split(self.moment, |sync| self.counts(sync, false));
        let kept = match self.dice.random_range(0..3) {
            0 => 0,
            1 => unsure.len(),
            _ => self.dice.random_range(0..=unsure.len()),
        };
        if !unsure.is_empty() {
            self.story += &format!("; {path:?}: {kept} of {} names", unsure.len());
        }
        let mut names = log.start.clone();
        sure.iter().chain(&unsure[..kept]).for_each(|(_, naming)| naming.apply(&mut names));
        names
    }

    fn bytes(&mut self, path: &Path, file: usize) -> Vec<u8> {
        let log = &self.disk.files[file];
        let [sure, unsure] = log.split(self.moment, |sync| self.counts(sync, true));
        let mut bytes = log.start.clone();
        sure.iter().for_each(|(_, change)| change.apply(&mut bytes, |_| true));
        if !unsure.is_empty() {
            let told = lose(&mut bytes, unsure, self.dice);
            self.story += &format!("; {path:?}: {told}");
        }
        bytes
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Put(name, node) => drop(names.insert(name.clone(), *node)),
            Naming::Drop(name) => drop(names.remove(name)),
            Naming::Move(from, to) => {
                let node = names.remove(from).expect("it was there when it was renamed");
                names.insert(to.clone(), node);
            }
        }
    }
}

impl Change {
    /// Does it to these bytes, in the sectors that are kept.
    fn apply(&self, file: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Change::Size(size) => file.resize(*size, 0),
            Change::Write { at, bytes } => {
                let (mut from, end) = (*at, at + bytes.len());
                while from < end {
                    let to = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
                    if keeps(from / SECTOR_BYTES) {
                        file.resize(file.len().max(to), 0);
                        file[from..to].copy_from_slice(&bytes[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }

    fn size_after(&self, size: usize) -> usize {
        match self {
            Change::Size(size) => *size,
            Change::Write { at, bytes } => size.max(at + bytes.len()),
        }
    }
}

/// Does some of the unsure changes; says which.
fn lose(bytes: &mut Vec<u8>, unsure: &[(usize, Change)], dice: &mut ChaCha8Rng) -> String {
    let one = dice.random_range(0..unsure.len());
    let fate = match dice.random_range(0..8) {
        0 => Fate::Lost,
        1 => Fate::Kept,
        2 => Fate::FirstPart(one),
        3 => Fate::AllBut(one),
        4 => Fate::Only(one),
        5 => Fate::SomeWhole,
        _ => Fate::SomeSectors,
    };
    let mut sizes = vec![bytes.len()];
    for (place, (_, change)) in unsure.iter().enumerate() {
        sizes.push(change.size_after(sizes[place]));
        let whole = match fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::FirstPart(end) => place < end,
            Fate::AllBut(one) => place != one,
            Fate::Only(one) => place == one,
            Fate::SomeWhole => dice.random_bool(0.5),
            Fate::SomeSectors => {
                // A change of the size has no sectors.
                if matches!(change, Change::Write { .. }) || dice.random_bool(0.5) {
                    change.apply(bytes, |_| dice.random_bool(0.5));
                }
                continue;
            }
        };
        if whole {
            change.apply(bytes, |_| true);
        }
    }
    let size = match dice.random_range(0..4) {
        0 => sizes[dice.random_range(0..sizes.len())],
        1 => sizes.iter().copied().max().unwrap_or(0),
        _ => bytes.len(),
    };
    bytes.resize(size, 0);
    format!("{fate:?} of {} changes, {size} bytes", unsure.len())
}
