/* Lets chosen calls on files below a folder fail, and writes down which calls there were.
 *
 * Preloaded into 64-bit Linux programs. FAULT_FOLDER is the folder, FAULT_LOG the file that gets a line for each call
 * on it (`KIND NAME`), for each fault (`fault KIND NAME`) and for each write to stdout (`said`), in one order: what
 * is said is written down before it is said.
 *
 * FAULT_KIND (a part of open, read, write, ftruncate, fsync, fdatasync, rename or unlink) and FAULT_NAME (how the
 * file's name begins) say which calls are counted, FAULT_FROM which of them is the first to fail, from 1 on, FAULT_COUNT how many do, and
 * FAULT_ERRNO with what. With FAULT_SHORT the first of them succeeds with half of its bytes instead.
 *
 * With FAULT_BYTE it is the page with this byte of the file that cannot be read, by whatever call.
 *
 * As with Linux, a sync that fails is told once to each descriptor that the file has then: the first next sync by any
 * other one fails too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "opening.h"

enum verdict { PASS, HALF, FAIL };

static int journal = -1;
static const char *folder, *wanted_kind, *wanted_name;
static size_t folder_bytes;
static long first, faults;
static int reason, is_short;
static atomic_long calls;

/* Where the page begins that cannot be read; -1 if there is none. */
#define PAGE_BYTES 4096
static off64_t bad_page = -1;

/* The file of which a sync has failed last, and who was told. */
#define FILES 4096
static _Atomic ino_t failed_file;
static atomic_char told[FILES];

/* Held while a sync is judged. */
static atomic_flag syncs = ATOMIC_FLAG_INIT;

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void start(void) {
    folder = getenv("FAULT_FOLDER");
    if (!folder) return;
    folder_bytes = strlen(folder);
    wanted_kind = setting("FAULT_KIND");
    wanted_name = setting("FAULT_NAME");
    first = atol(setting("FAULT_FROM"));
    faults = atol(setting("FAULT_COUNT"));
    reason = atoi(setting("FAULT_ERRNO"));
    is_short = *setting("FAULT_SHORT") != 0;
    const char *bad_byte = setting("FAULT_BYTE");
    if (*bad_byte) bad_page = atoll(bad_byte) / PAGE_BYTES * PAGE_BYTES;
    journal = (int)syscall(SYS_openat, AT_FDCWD, setting("FAULT_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) abort();
}

static void note(const char *what, const char *kind, const char *name) {
    char line[600];
    int bytes = snprintf(line, sizeof line, "%s%s %s\n", what, kind, name);
    if (syscall(SYS_write, journal, line, (size_t)bytes) != bytes) abort();
}

static int is_wanted(const char *kind, const char *name) {
    return strstr(kind, wanted_kind) && strncmp(name, wanted_name, strlen(wanted_name)) == 0;
}

/* What becomes of a call on the file of this path. */
static enum verdict judge(const char *kind, const char *path) {
    if (journal < 0 || strncmp(path, folder, folder_bytes) != 0) return PASS;
    const char *name = strrchr(path, '/') + 1;
    int before = errno;
    note("", kind, name);
    errno = before;
    if (bad_page >= 0 || !is_wanted(kind, name)) return PASS;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (call < first || call - first >= faults) return PASS;
    note("fault ", kind, name);
    errno = reason;
    return is_short && call == first ? HALF : FAIL;
}

/* The path of an open file; 0 if it has none, or nobody wants to know. */
static int find_path(int fd, char *path, size_t size) {
    char link[40];
    if (journal < 0) return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
    errno = before;
    if (bytes < 0) return 0;
    path[bytes] = 0;
    return 1;
}

static enum verdict judge_fd(const char *kind, int fd) {
    char path[512];
    return find_path(fd, path, sizeof path) ? judge(kind, path) : PASS;
}

/* How much of a read comes before the page that cannot be read, as Linux has it; -1 if it begins there. */
static ssize_t readable(int fd, size_t length, off64_t offset) {
    char path[512];
    off64_t end = offset + (off64_t)length;
    if (bad_page < 0 || offset >= bad_page + PAGE_BYTES || end <= bad_page) return (ssize_t)length;
    if (!find_path(fd, path, sizeof path) || strncmp(path, folder, folder_bytes) != 0) return (ssize_t)length;
    const char *name = strrchr(path, '/') + 1;
    if (!is_wanted("read", name)) return (ssize_t)length;
    if (offset < bad_page) return bad_page - offset;
    note("fault ", "read", name);
    errno = reason;
    return -1;
}

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    if (judge("open", path) != PASS) return -1;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && fd < FILES) told[fd] = 1;
    return fd;
}

static size_t part(enum verdict verdict, size_t bytes) { return verdict == HALF ? (bytes + 1) / 2 : bytes; }

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    enum verdict verdict = judge_fd("read", fd);
    ssize_t there = verdict == FAIL ? -1 : readable(fd, part(verdict, length), offset);
    return there < 0 ? -1 : syscall(SYS_pread64, fd, bytes, (size_t)there, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return pread64(fd, bytes, length, offset); }

ssize_t read(int fd, void *bytes, size_t length) {
    enum verdict verdict = judge_fd("read", fd);
    off64_t offset = bad_page < 0 ? 0 : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t there = verdict == FAIL ? -1 : readable(fd, part(verdict, length), offset);
    return there < 0 ? -1 : syscall(SYS_read, fd, bytes, (size_t)there);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    enum verdict verdict = judge_fd("write", fd);
    return verdict == FAIL ? -1 : syscall(SYS_pwrite64, fd, bytes, part(verdict, length), offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
    if (fd == STDOUT_FILENO && journal >= 0) note("", "said", "");
    enum verdict verdict = judge_fd("write", fd);
    return verdict == FAIL ? -1 : syscall(SYS_write, fd, bytes, part(verdict, length));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (fd == STDOUT_FILENO && journal >= 0) note("", "said", "");
    enum verdict verdict = judge_fd("write", fd);
    if (verdict == HALF) return syscall(SYS_writev, fd, parts, 1);
    return verdict == FAIL ? -1 : syscall(SYS_writev, fd, parts, count);
}

int ftruncate64(int fd, off64_t size) { return judge_fd("ftruncate", fd) != PASS ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_by(const char *kind, long call, int fd) {
    struct stat file;
    if (journal < 0 || fd < 0 || fd >= FILES || fstat(fd, &file) != 0) return (int)syscall(call, fd);
    /* Whoever looks after the fault was written down must see it. */
    while (atomic_flag_test_and_set(&syncs)) sched_yield();
    int fails = judge_fd(kind, fd) != PASS;
    if (fails) {
        memset((void *)told, 0, sizeof told);
        told[fd] = 1;
        failed_file = file.st_ino;
    } else if (file.st_ino == failed_file && !atomic_exchange(&told[fd], 1)) {
        note("fault ", kind, "told to another");
        errno = reason;
        fails = 1;
    }
    int error = errno;
    atomic_flag_clear(&syncs);
    errno = error;
    if (fails) return -1;
    return (int)syscall(call, fd);
}

int fsync(int fd) { return sync_by("fsync", SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by("fdatasync", SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    if (judge("rename", from) != PASS) return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    if (judge("unlink", path) != PASS) return -1;
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
