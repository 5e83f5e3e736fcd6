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
//!
//! A write that makes the file longer, or is the first in a block of the disk, costs its sync one more write of the disk:
//! that of the file's inode. So where little is written at a time, the file is kept a little longer than what sled has
//! written, by zeros. They are what sled itself writes behind the end of its log when it opens a store; and they are
//! appended, so that they cannot fall on anything that sled writes meanwhile.
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
    use std::io::{self, Write};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::path::Path;
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, PoisonError, RwLock};

    use rustix::fs::{AtFlags, StatxFlags, fstat, major, minor, statx};
    use rustix::io::Errno;

    use super::super::SEGMENT_BYTES;
    use super::{CALLS, SYNCED_STORES};

    /// What the file is made longer by at a time.
    const AHEAD_BYTES: usize = 64 << 10;
    /// It is made longer when less than this is left. Who writes as much at once gains nothing by it.
    const NEAR_BYTES: u64 = 16 << 10;

    static ZEROS: [u8; AHEAD_BYTES] = [0; AHEAD_BYTES];

    /// The files by which those of open stores are synced.
    static OWN: RwLock<Vec<Arc<Named>>> = RwLock::new(Vec::new());

    /// An open file and its name.
    #[derive(Debug)]
    struct Named(File, Name);

    /// A file's device and its number there.
    type Name = ((u32, u32), u64);

    #[derive(Debug)]
    pub(super) struct Own(Arc<Named>);

    impl Own {
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            let file = File::options().read(true).append(true).open(path)?;
            let (name, _) = look_at(file.as_fd())?;
            let own = Arc::new(Named(file, name));
            OWN.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&own));
            Ok(Self(own))
        }
    }

    impl Named {
        /// sled has written so many bytes, up to `end`, and goes on there: makes the file longer if its end is near. All of
        /// sled's segments but the last are whole, so this one may be too. Where the system does not do that it goes on as it
        /// would without; only a disk that fails is told of.
        fn stay_ahead(&self, length: u64, end: u64, bytes: u64) -> io::Result<()> {
            let left = length.next_multiple_of(SEGMENT_BYTES as u64) - length;
            if bytes >= NEAR_BYTES || length >= end.saturating_add(NEAR_BYTES) || left == 0 {
                return Ok(());
            }
            let zeros = usize::try_from(left).map_or(AHEAD_BYTES, |left| left.min(AHEAD_BYTES));
            match (&self.0).write(&ZEROS[..zeros]) {
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let mut all = OWN.write().unwrap_or_else(PoisonError::into_inner);
            all.retain(|own| !Arc::ptr_eq(own, &self.0));
        }
    }

    /// A file's name and length. Its times are not asked for: who has seen them has a right to others after the next write,
    /// and with them to one more write of the inode.
    fn look_at(file: BorrowedFd<'_>) -> io::Result<(Name, u64)> {
        let what = StatxFlags::INO | StatxFlags::SIZE;
        if let Ok(seen) = statx(file, c"", AtFlags::EMPTY_PATH, what) {
            return Ok((((seen.stx_dev_major, seen.stx_dev_minor), seen.stx_ino), seen.stx_size));
        }
        // Old kernels do not know that call, and some sandboxes refuse it.
        let seen = fstat(file)?;
        let device = (major(seen.st_dev), minor(seen.st_dev));
        Ok(((device, seen.st_ino), seen.st_size.cast_unsigned()))
    }

    /// Our own file in place of sled's, if there is one, and how long it is.
    fn own_of(fd: c_int) -> Option<(Arc<Named>, u64)> {
        if fd < 0 {
            return None;
        }
        // SAFETY: the file is sled's, which has it open until this has returned.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        let (name, length) = look_at(file).ok()?;
        let all = OWN.read().unwrap_or_else(PoisonError::into_inner);
        Some((all.iter().find(|own| own.1 == name).cloned()?, length))
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
        offset: i64,
        bytes: i64,
        _flags: c_uint,
    ) -> c_int {
        CALLS.fetch_add(1, Ordering::SeqCst);
        #[cfg(test)]
        let fd = super::tests::broken_if_asked(fd);
        if SYNCED_STORES.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let Some((own, length)) = own_of(fd) else {
            return fdatasync(fd);
        };
        let (offset, bytes) = (offset.cast_unsigned(), bytes.cast_unsigned());
        // What failed stays in errno.
        match own.stay_ahead(length, offset.saturating_add(bytes), bytes) {
            Ok(()) => fdatasync(own.0.as_raw_fd()),
            Err(_) => -1,
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
