//! Makes sled's `flush` a real sync on Linux. The one place with unsafe code in this crate.
//!
//! There sled makes a write durable with `sync_file_range`, which neither empties the disk's cache nor syncs the
//! file's size. Syncing after `flush` on our own is not enough: sled counts a segment as stable, and reuses or refers
//! to it, as soon as `sync_file_range` has returned. So the program defines that function itself, and the linker binds
//! sled to this definition before it looks at the C library. On other systems sled calls `fsync`.
//!
//! When the system could not write something, it says so once to each file that is open, at that file's next sync. sled
//! also syncs on its own, when it cuts its log shorter, and does not look how that ends. So ours goes by a file of our
//! own: what sled's was told and nobody heard is told to that one too.
#![allow(unsafe_code)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Open stores of this process that must sync for real.
static SYNCED_STORES: AtomicUsize = AtomicUsize::new(0);

/// Calls of our `sync_file_range`: whether sled is bound to it shows in this.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// While one of these lives, every sync that sled asks for in this process is a real one.
#[derive(Debug)]
pub(super) struct RealSync(());

impl RealSync {
    pub(super) fn begin() -> Self {
        SYNCED_STORES.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for RealSync {
    fn drop(&mut self) {
        SYNCED_STORES.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A number that must have changed after sled has flushed something; `None` where sled syncs by itself.
pub(super) fn calls() -> Option<u64> {
    cfg!(target_os = "linux").then(|| CALLS.load(Ordering::SeqCst))
}

/// While this lives, the file at a path is synced by another one than sled's.
#[derive(Debug)]
pub(super) struct OwnFile {
    #[cfg(target_os = "linux")]
    _own: linux::Own,
}

impl OwnFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return Ok(Self { _own: linux::Own::open(path)? });
        #[cfg(not(target_os = "linux"))]
        return std::fs::metadata(path).map(|_| Self {});
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_uint};
    use std::fs::File;
    use std::io;
    use std::mem::ManuallyDrop;
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, PoisonError, RwLock};

    use super::{CALLS, SYNCED_STORES};

    /// The files by which those of open stores are synced.
    static OWN: RwLock<Vec<Arc<Named>>> = RwLock::new(Vec::new());

    /// An open file, with its device and its number there.
    #[derive(Debug)]
    struct Named(File, (u64, u64));

    #[derive(Debug)]
    pub(super) struct Own(Arc<Named>);

    impl Own {
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            let file = File::open(path)?;
            let name = name_of(&file)?;
            let own = Arc::new(Named(file, name));
            OWN.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&own));
            Ok(Self(own))
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let mut all = OWN.write().unwrap_or_else(PoisonError::into_inner);
            all.retain(|own| !Arc::ptr_eq(own, &self.0));
        }
    }

    fn name_of(file: &File) -> io::Result<(u64, u64)> {
        file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    /// Our own file in place of sled's, if there is one.
    fn own_of(fd: c_int) -> Option<Arc<Named>> {
        if fd < 0 {
            return None;
        }
        // SAFETY: what is not open is told as an error; the file is sled's, and never closed here.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
        let name = name_of(&file).ok()?;
        let all = OWN.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|own| own.1 == name).cloned()
    }

    // The C library's own, because sled finds the reason of a failure in its errno.
    unsafe extern "C" {
        // SAFETY: any number may be passed; what is not an open file is answered with EBADF.
        safe fn fdatasync(fd: c_int) -> c_int;
    }

    // SAFETY: the name and the types are those of the C library's function (off64_t is i64 everywhere), and
    // replacing it keeps its contract: when it returns 0, the range has been written.
    #[unsafe(no_mangle)]
    pub(super) extern "C" fn sync_file_range(
        fd: c_int,
        _offset: i64,
        _bytes: i64,
        _flags: c_uint,
    ) -> c_int {
        CALLS.fetch_add(1, Ordering::SeqCst);
        #[cfg(test)]
        let fd = super::tests::broken_if_asked(fd);
        if SYNCED_STORES.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        match own_of(fd) {
            Some(own) => fdatasync(own.0.as_raw_fd()),
            None => fdatasync(fd),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    use std::ffi::c_int;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{RealSync, calls, linux};

    /// Folders in which no sync succeeds.
    static BROKEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

    fn broken() -> MutexGuard<'static, Vec<PathBuf>> {
        BROKEN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::store) struct BrokenFolder(PathBuf);

    impl Drop for BrokenFolder {
        fn drop(&mut self) {
            broken().retain(|folder| *folder != self.0);
        }
    }

    pub(in crate::store) fn break_syncs_in(folder: &Path) -> BrokenFolder {
        let folder = folder.canonicalize().unwrap();
        broken().push(folder.clone());
        BrokenFolder(folder)
    }

    pub(super) fn broken_if_asked(fd: c_int) -> c_int {
        let folders = broken();
        let file = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        let is_broken =
            file.is_ok_and(|file| folders.iter().any(|folder| file.starts_with(folder)));
        if is_broken { -1 } else { fd }
    }

    #[test]
    fn a_failed_sync_is_told_with_its_reason() {
        let _real = RealSync::begin();
        let before = calls();
        assert_eq!(linux::sync_file_range(-1, 0, 0, 0), -1);
        assert_eq!(
            io::Error::last_os_error().raw_os_error(),
            Some(rustix::io::Errno::BADF.raw_os_error())
        );
        assert!(calls() > before);
    }
}
