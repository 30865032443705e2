/* A disk that is slow or fails, for one process: LD_PRELOAD it. What it does stands in the file that FAILING_DISK names
   ("slow", "fsync" or "write"; anything else: a healthy disk), for files whose name holds "resolute.db". Each call that
   it made slow or let fail adds a line to that file with ".log" at its end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_now(const char *mode, int fd) {
    char text[16] = "", link[64], path[4096];
    const char *name = getenv("FAILING_DISK");
    FILE *file;
    ssize_t length;
    if (name == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strstr(path, "resolute.db") == NULL || (file = fopen(name, "r")) == NULL) return 0;
    if (fscanf(file, "%15s", text) != 1) text[0] = 0;
    fclose(file);
    if (strcmp(text, mode) != 0) return 0;
    snprintf(path, sizeof path, "%s.log", name);
    if ((file = fopen(path, "a")) != NULL) {
        fprintf(file, "%s\n", mode);
        fclose(file);
    }
    return 1;
}

static int sync_with(const char *name, int fd) {
    struct timespec pause = {0, 300000000};
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (is_now("slow", fd)) nanosleep(&pause, NULL);
    if (is_now("fsync", fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd) { return sync_with("fsync", fd); }

int fdatasync(int fd) { return sync_with("fdatasync", fd); }

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t);
    real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (is_now("write", fd)) {
        errno = EROFS;
        return -1;
    }
    return real(fd, bytes, count, offset);
}
