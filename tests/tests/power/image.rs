//! Images as files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::Image;

/// Reads all below a folder.
pub(crate) fn read(root: &Path) -> Image {
    let mut image = Image::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of ours") {
            let entry = entry.expect("a folder of ours");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                image.insert(path.clone(), None);
                open.push(path);
            } else {
                let bytes = fs::read(entry.path()).expect("a file of ours");
                image.insert(path, Some(bytes));
            }
        }
    }
    image
}

/// Makes its files in an empty folder.
pub(crate) fn write(image: &Image, root: &Path) {
    // A folder comes before what is in it.
    for (path, bytes) in image {
        match bytes {
            Some(bytes) => fs::write(root.join(path), bytes).expect("there is room"),
            None => fs::create_dir(root.join(path)).expect("it is new"),
        }
    }
}
