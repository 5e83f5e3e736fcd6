/* Writes down, in one order, what a process asks of the files below a folder: what a disk may lose follows from that.
 *
 * Preloaded into 64-bit Linux programs. POWER_FOLDER is the folder, POWER_JOURNAL the file that all processes append to.
 * A change is written down after it was done, a close and what is said on stdout before: so a sync that is written down
 * as begun after a change covers it, and nothing is told to anybody before it is in the journal.
 *
 * With POWER_KILL_AT the process kills itself, as `kill -9` would, after so many calls that change or say something: at a
 * moment at which each change that was made is written down too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "opening.h"

enum kind { OPEN = 1, CLOSE, WRITE, SIZE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MKDIR, SAID };

/* Followed by `path` and then `bytes` bytes. */
struct record {
    uint32_t kind, pid, tid;
    int32_t fd;
    uint32_t flags, path;
    uint64_t offset, bytes;
};

#define FILES 4096
#define PARTS 1024
static char watched[FILES];
static int journal = -1;
static const char *folder;
static size_t folder_bytes;
static long kill_at;
static atomic_long calls;
static atomic_int inside, dying;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_JOURNAL");
    folder = getenv("POWER_FOLDER");
    if (!path || !folder) return;
    folder_bytes = strlen(folder);
    if (getenv("POWER_KILL_AT")) kill_at = atol(getenv("POWER_KILL_AT"));
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) abort();
}

static int below(const char *path) {
    return journal >= 0 && strncmp(path, folder, folder_bytes) == 0 &&
           (path[folder_bytes] == '/' || path[folder_bytes] == 0);
}

static int watches(int fd) { return journal >= 0 && fd >= 0 && fd < FILES && watched[fd]; }

/* Before a change or a word; whoever comes after the last one waits for the end. */
static void enter(void) {
    atomic_fetch_add(&inside, 1);
    if (!atomic_load(&dying)) return;
    atomic_fetch_sub(&inside, 1);
    for (;;) pause();
}

static void leave(void) {
    if (kill_at && atomic_fetch_add(&calls, 1) + 1 == kill_at) {
        atomic_store(&dying, 1);
        while (atomic_load(&inside) > 1) sched_yield();
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    atomic_fetch_sub(&inside, 1);
}

/* One append for each record keeps the order among threads and processes. */
static void note(struct record record, const char *path, const struct iovec *parts, int count) {
    int before = errno;
    struct iovec all[PARTS + 2];
    if (count > PARTS) abort();
    record.pid = (uint32_t)getpid();
    record.tid = (uint32_t)syscall(SYS_gettid);
    record.path = (uint32_t)strlen(path);
    size_t left = record.bytes;
    int used = 2;
    all[0] = (struct iovec){&record, sizeof record};
    all[1] = (struct iovec){(void *)path, record.path};
    for (int i = 0; i < count && left; i++) {
        size_t take = parts[i].iov_len < left ? parts[i].iov_len : left;
        all[used++] = (struct iovec){parts[i].iov_base, take};
        left -= take;
    }
    size_t total = sizeof record + record.path + record.bytes;
    if (left || (size_t)syscall(SYS_writev, journal, all, used) != total) abort();
    errno = before;
}

static void note_fd(enum kind kind, int fd, uint64_t offset) {
    note((struct record){.kind = kind, .fd = fd, .offset = offset}, "", NULL, 0);
}

static void note_write(int fd, uint64_t offset, const struct iovec *parts, int count, ssize_t wrote) {
    if (wrote <= 0) return;
    struct record record = {.kind = WRITE, .fd = fd, .offset = offset, .bytes = (uint64_t)wrote};
    note(record, "", parts, count);
}

static int opened(int fd, const char *path, int flags) {
    if (fd < 0) return fd;
    if (fd >= FILES) abort();
    watched[fd] = 1;
    note((struct record){.kind = OPEN, .fd = fd, .flags = (uint32_t)flags}, path, NULL, 0);
    return fd;
}

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    if (!below(path)) return (int)syscall(SYS_openat, dir, path, flags, mode);
    enter();
    int fd = opened((int)syscall(SYS_openat, dir, path, flags, mode), path, flags);
    leave();
    return fd;
}

int close(int fd) {
    if (watches(fd)) {
        note_fd(CLOSE, fd, 0);
        watched[fd] = 0;
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    if (!watches(fd)) return syscall(SYS_pwritev, fd, parts, count, offset, 0);
    enter();
    ssize_t wrote = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    note_write(fd, (uint64_t)offset, parts, count, wrote);
    leave();
    return wrote;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    if (!watches(fd)) return syscall(SYS_pwrite64, fd, bytes, length, offset);
    enter();
    ssize_t wrote = syscall(SYS_pwrite64, fd, bytes, length, offset);
    note_write(fd, (uint64_t)offset, &(struct iovec){(void *)bytes, length}, 1, wrote);
    leave();
    return wrote;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int says = fd == STDOUT_FILENO && journal >= 0;
    if (!says && !watches(fd)) return syscall(SYS_writev, fd, parts, count);
    enter();
    if (says) {
        struct record record = {.kind = SAID, .fd = fd};
        for (int i = 0; i < count; i++) record.bytes += parts[i].iov_len;
        note(record, "", parts, count);
    }
    ssize_t wrote = syscall(SYS_writev, fd, parts, count);
    /* Where it ended: with O_APPEND the place before it would be the wrong one. */
    if (watches(fd) && wrote > 0) {
        off_t end = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
        note_write(fd, (uint64_t)(end - wrote), parts, count, wrote);
    }
    leave();
    return wrote;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!watches(fd) && fd != STDOUT_FILENO) return syscall(SYS_write, fd, bytes, length);
    return writev(fd, &(struct iovec){(void *)bytes, length}, 1);
}

int ftruncate64(int fd, off64_t size) {
    if (!watches(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    enter();
    int failed = (int)syscall(SYS_ftruncate, fd, size);
    if (!failed) note_fd(SIZE, fd, (uint64_t)size);
    leave();
    return failed;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_by(long call, int fd) {
    if (watches(fd)) note_fd(SYNC_BEGIN, fd, 0);
    int failed = (int)syscall(call, fd);
    if (!failed && watches(fd)) note_fd(SYNC_END, fd, 0);
    return failed;
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    if (!below(to)) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    enter();
    int failed = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    struct iovec second = {(void *)to, strlen(to)};
    if (!failed) note((struct record){.kind = RENAME, .bytes = second.iov_len}, from, &second, 1);
    leave();
    return failed;
}

int unlink(const char *path) {
    if (!below(path)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    enter();
    int failed = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed) note((struct record){.kind = UNLINK}, path, NULL, 0);
    leave();
    return failed;
}

int mkdir(const char *path, mode_t mode) {
    if (!below(path)) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    enter();
    int failed = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!failed) note((struct record){.kind = MKDIR}, path, NULL, 0);
    leave();
    return failed;
}
