/* A disk that fails, for LD_PRELOAD: fsync, fdatasync and pwrite of files in a directory named `journal` fail as the file in
 * FOOTFALL_DISK_ORDERS says, "NUMBER CALL ERRNO COUNT": a new NUMBER is a new order; CALL is fsync, fdatasync or pwrite; an ERRNO of 0
 * makes a pwrite short; a COUNT of -1 is for ever. Every sync, and every call that was made to fail, is written to FOOTFALL_DISK_LOG:
 * "CALL FILE ERRNO", where FILE is one for each file that ever was. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long order, left;
static int failure;
static char victim[16];

static int is_in_journal(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/journal") != NULL;
}

static void read_orders(void) {
    const char *name = getenv("FOOTFALL_DISK_ORDERS");
    char text[128] = "";
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    long number, count;
    int error;
    char call[16];
    if (length > 0 && sscanf(text, "%ld %15s %d %ld", &number, call, &error, &count) == 4 && number != order) {
        order = number;
        left = count;
        failure = error;
        strcpy(victim, call);
    }
}

/* The errno that a call shall fail with, 0 for a short write, or -1 when all is well. */
static int verdict(const char *call, int fd) {
    int said = -1;
    struct statx file;
    if (!is_in_journal(fd) || statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &file)) return said;
    pthread_mutex_lock(&lock);
    read_orders();
    if (left != 0 && strcmp(call, victim) == 0) {
        said = failure;
        if (left > 0) left--;
    }
    pthread_mutex_unlock(&lock);
    const char *name = getenv("FOOTFALL_DISK_LOG");
    int log = -1;
    if (name && (said >= 0 || strcmp(call, "pwrite") != 0)) log = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) {
        char line[96];
        /* The number of a deleted file is used again; the time at which it was made tells them apart. */
        unsigned long made = (unsigned long)file.stx_btime.tv_sec * 1000000000UL + file.stx_btime.tv_nsec;
        int length = snprintf(line, sizeof line, "%s %lu@%lu %d\n", call, (unsigned long)file.stx_ino, made, said);
        if (write(log, line, (size_t)length) < 0) abort();
        close(log);
    }
    return said;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int said = verdict("fsync", fd);
    if (said < 0) return real(fd);
    errno = said;
    return -1;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int said = verdict("fdatasync", fd);
    if (said < 0) return real(fd);
    errno = said;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    int said = verdict("pwrite", fd);
    if (said < 0) return real(fd, bytes, count, offset);
    /* Some of it is written in either case, as a real disk does. */
    ssize_t written = real(fd, bytes, count / 2 + 1 < count ? count / 2 + 1 : count, offset);
    if (said == 0) return written;
    errno = said;
    return -1;
}
