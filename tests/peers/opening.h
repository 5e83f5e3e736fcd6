/* All the ways in which a program opens a file, made into one: `open_at`, which is defined by who includes this. */

#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

static int open_at(int dir, const char *path, int flags, mode_t mode);

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0;
}

#define OPEN_AT(dir)                    \
    va_list rest;                       \
    va_start(rest, flags);              \
    mode_t mode = mode_of(flags, rest); \
    va_end(rest);                       \
    return open_at(dir, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN_AT(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN_AT(AT_FDCWD); }
int openat(int dir, const char *path, int flags, ...) { OPEN_AT(dir); }
int openat64(int dir, const char *path, int flags, ...) { OPEN_AT(dir); }
