//! Follows names and open files through a journal.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{By, Change, Disk, Log, Names, Naming, Node, Sync};
use crate::journal::{Event, O_CREAT, O_TRUNC, What};

#[derive(Default)]
pub(super) struct Reader {
    pub(super) disk: Disk,
    names: HashMap<PathBuf, Node>,
    open: HashMap<(u32, i32), Node>,
    /// The store's file of syncs, written after each flush of sled's, and sled's own, once they are open.
    witness: Option<Node>,
    log: Option<Node>,
    /// Of each thread, what it is syncing, and since when.
    syncing: HashMap<u32, (Node, usize)>,
}

impl Reader {
    pub(super) fn of(root: &Path) -> Self {
        let mut reader = Self::default();
        reader.disk.folders.push(Log::of(Names::new()));
        reader.names.insert(root.to_owned(), Node::Folder(0));
        reader
    }

    /// Takes in what was there at first: a file with its bytes, or a folder.
    pub(super) fn find(&mut self, path: PathBuf, bytes: Option<&[u8]>) {
        let node = match bytes {
            Some(bytes) => {
                self.disk.files.push(Log::of(bytes.to_vec()));
                Node::File(self.disk.files.len() - 1)
            }
            None => {
                self.disk.folders.push(Log::of(Names::new()));
                Node::Folder(self.disk.folders.len() - 1)
            }
        };
        let parent = self.parent_of(&path);
        self.disk.folders[parent].start.insert(name_of(&path), node);
        self.names.insert(path, node);
    }

    /// Takes in what was done.
    pub(super) fn read(&mut self, moment: usize, event: Event) {
        let handle = (event.pid, event.fd);
        match event.what {
            What::Open { path, flags } => self.open(moment, handle, path, flags),
            What::Close => drop(self.open.remove(&handle)),
            What::Write { at, bytes } => self.change(moment, handle, Change::Write { at, bytes }),
            What::Size(size) => self.change(moment, handle, Change::Size(size)),
            What::SyncBegin => {
                let _ = self.syncing.insert(event.thread, (self.open[&handle], moment));
            }
            What::SyncEnd => self.synced(moment, event.thread),
            What::Rename { from, to } => {
                let node = self.names.remove(&from).expect("it is there");
                assert_eq!(from.parent(), to.parent(), "nothing moves between folders");
                self.name(moment, &to, Naming::Move(name_of(&from), name_of(&to)));
                self.names.insert(to, node);
            }
            What::Unlink(path) => {
                self.names.remove(&path);
                self.name(moment, &path, Naming::Drop(name_of(&path)));
            }
            What::Mkdir(path) => {
                let node = Node::Folder(self.disk.folders.len());
                self.disk.folders.push(Log::of(Names::new()));
                self.name(moment, &path, Naming::Put(name_of(&path), node));
                self.names.insert(path, node);
            }
            What::Said(_) => {}
        }
    }

    fn open(&mut self, moment: usize, handle: (u32, i32), path: PathBuf, flags: u32) {
        let (known, known_name) = (self.names.get(&path).copied(), name_of(&path));
        let node = known.unwrap_or_else(|| {
            assert!(flags & O_CREAT != 0, "{} was never made", path.display());
            let node = Node::File(self.disk.files.len());
            self.disk.files.push(Log::of(Vec::new()));
            self.name(moment, &path, Naming::Put(name_of(&path), node));
            self.names.insert(path, node);
            node
        });
        match known_name.to_str() {
            Some("SYNCED") => self.witness = Some(node),
            Some("db") => self.log = Some(node),
            _ => {}
        }
        self.open.insert(handle, node);
        if known.is_some() && flags & O_TRUNC != 0 {
            self.change(moment, handle, Change::Size(0));
        }
    }

    fn change(&mut self, moment: usize, handle: (u32, i32), change: Change) {
        let node = self.open[&handle];
        if let (true, Some(Node::File(log))) = (Some(node) == self.witness, self.log) {
            let syncs = &mut self.disk.files[log].syncs;
            syncs.push(Sync { begin: moment, end: moment, by: By::Nobody });
        }
        match node {
            Node::File(file) => self.disk.files[file].changes.push((moment, change)),
            Node::Folder(_) => panic!("nobody writes into a folder"),
        }
    }

    fn name(&mut self, moment: usize, path: &Path, naming: Naming) {
        let folder = self.parent_of(path);
        self.disk.folders[folder].changes.push((moment, naming));
    }

    fn parent_of(&self, path: &Path) -> usize {
        match path.parent().and_then(|parent| self.names.get(parent)) {
            Some(Node::Folder(folder)) => *folder,
            _ => panic!("{} is in no folder that is known", path.display()),
        }
    }

    fn synced(&mut self, end: usize, thread: u32) {
        let (node, begin) = self.syncing.remove(&thread).expect("it was begun");
        let syncs = match node {
            Node::File(file) => &mut self.disk.files[file].syncs,
            Node::Folder(folder) => &mut self.disk.folders[folder].syncs,
        };
        let by = if Some(node) == self.log { By::Sled } else { By::Ourselves };
        syncs.push(Sync { begin, end, by });
        self.disk.sync_ends.push(end);
    }
}

fn name_of(path: &Path) -> PathBuf {
    PathBuf::from(path.file_name().expect("a file has a name"))
}
