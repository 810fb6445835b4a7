/* Fails, or kills the process at, the n-th of the calls that change files. Loaded by LD_PRELOAD (tests/support/faults.py). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/types.h>
#include <unistd.h>

static long left = -1; /* calls until the fault; -1 for none */
static int killing;
static int sticky; /* whether every call after it fails too, as on a full disk */

void arm(long calls, int kill_there, int for_good) { left = calls; killing = kill_there; sticky = for_good; }
long unarm(void) { long found = left; left = -1; return found; }

static int fails(void) {
    if (left < 0) return 0;
    if (left > 0) { left--; return 0; }
    if (killing) kill(getpid(), SIGKILL);
    if (!sticky) left = -1;
    errno = ENOSPC;
    return 1;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *from, size_t size) {
    return fd > 2 && fails() ? -1 : REAL(write)(fd, from, size);
}
ssize_t pwrite(int fd, const void *from, size_t size, off_t place) {
    return fails() ? -1 : REAL(pwrite)(fd, from, size, place);
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t place) {
    return fails() ? -1 : REAL(pwrite64)(fd, from, size, place);
}
int fsync(int fd) { return fails() ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails() ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return fails() ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails() ? -1 : REAL(ftruncate64)(fd, size); }
int posix_fallocate(int fd, off_t place, off_t size) { return fails() ? ENOSPC : REAL(posix_fallocate)(fd, place, size); }
int rename(const char *from, const char *to) { return fails() ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails() ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return fails() ? -1 : REAL(mkdir)(path, mode); }

#define OPENING(name)                                                         \
    int name(const char *path, int flags, ...) {                              \
        va_list rest;                                                         \
        va_start(rest, flags);                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                         \
        return flags & O_CREAT && fails() ? -1 : REAL(name)(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
