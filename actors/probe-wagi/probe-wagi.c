// Tries what a WASI command can and cannot do. The query says what: its first piece is the action, the others are what
// the action takes. It prints what came of it, "errno N" where it failed. It also has routes of its own.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc-environ.h>

static int failed(void) {
    printf("errno %d", errno);
    return 0;
}

static int cat(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return failed();
    char buffer[4096];
    size_t read;
    while ((read = fread(buffer, 1, sizeof buffer, file)) > 0) fwrite(buffer, 1, read, stdout);
    fclose(file);
    return 0;
}

static int put(const char *path, const char *text, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file) return failed();
    if (fputs(text, file) < 0 || fclose(file) != 0) return failed();
    printf("ok");
    return 0;
}

static int list(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return failed();
    struct dirent *entry;
    while ((entry = readdir(folder))) printf("%s %d\n", entry->d_name, entry->d_type);
    closedir(folder);
    return 0;
}

static int describe(const char *path) {
    struct stat found;
    if (lstat(path, &found) != 0) return failed();
    printf("%s %lld", S_ISDIR(found.st_mode) ? "folder" : S_ISLNK(found.st_mode) ? "link" : "file",
           (long long)found.st_size);
    return 0;
}

static int open_many(const char *path) {
    int opened = 0;
    while (opened < 100000 && open(path, O_RDONLY) >= 0) opened++;
    printf("%d, errno %d", opened, errno);
    return 0;
}

// Past the library, which keeps programs from most of what a host has to refuse.
static int raw_open(int folder, const char *path, int create) {
    __wasi_fd_t opened;
    __wasi_errno_t error = __wasi_path_open(folder, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path,
                                            create ? __WASI_OFLAGS_CREAT : 0,
                                            create ? __WASI_RIGHTS_FD_WRITE : __WASI_RIGHTS_FD_READ, 0, 0, &opened);
    if (error) {
        printf("errno %d", error);
        return 0;
    }
    char buffer[256];
    ssize_t size = read(opened, buffer, sizeof buffer);
    printf("opened %.*s", (int)(size > 0 ? size : 0), buffer);
    return 0;
}

static int grow(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT, 0644);
    if (file < 0) return failed();
    static char block[1 << 20];
    long long written = 0;
    ssize_t size;
    if (lseek(file, 250LL << 20, SEEK_SET) < 0) return failed();
    while (written < (1LL << 40) && (size = write(file, block, sizeof block)) > 0) written += size;
    printf("%lld, errno %d", written, errno);
    return 0;
}

static int rewrite(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return failed();
    char buffer[32] = "";
    if (write(file, "0123456789", 10) != 10 || pwrite(file, "ab", 2, 4) != 2 || lseek(file, -8, SEEK_END) != 2 ||
        read(file, buffer, 4) != 4 || ftruncate(file, 7) != 0 || pread(file, buffer + 4, 20, 3) != 4 ||
        fsync(file) != 0 || lseek(file, 0, SEEK_CUR) != 6 || close(file) != 0)
        return failed();
    printf("%s", buffer);
    return 0;
}

static int wait_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
    printf("slept");
    return 0;
}

static int wait_for_input(void) {
    struct pollfd wanted[2] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
    printf("%d", poll(wanted, 2, 1000));
    return 0;
}

static int act(const char *action, int argc, char **argv) {
    const char *first = argc > 0 ? argv[0] : "", *second = argc > 1 ? argv[1] : "";
    if (!strcmp(action, "environment")) {
        for (char **entry = __wasilibc_get_environ(); *entry; entry++) printf("%s\n", *entry);
    } else if (!strcmp(action, "arguments")) {
        for (int i = 0; i < argc; i++) printf("%s\n", argv[i]);
    } else if (!strcmp(action, "input")) {
        char buffer[4096];
        size_t size;
        while ((size = fread(buffer, 1, sizeof buffer, stdin)) > 0) fwrite(buffer, 1, size, stdout);
    } else if (!strcmp(action, "cat")) return cat(first);
    else if (!strcmp(action, "put")) return put(first, second, "w");
    else if (!strcmp(action, "append")) return put(first, second, "a");
    else if (!strcmp(action, "list")) return list(first);
    else if (!strcmp(action, "describe")) return describe(first);
    else if (!strcmp(action, "rewrite")) return rewrite(first);
    else if (!strcmp(action, "grow")) return grow(first);
    else if (!strcmp(action, "mkdir")) return mkdir(first, 0755) ? failed() : 0;
    else if (!strcmp(action, "rmdir")) return rmdir(first) ? failed() : 0;
    else if (!strcmp(action, "unlink")) return unlink(first) ? failed() : 0;
    else if (!strcmp(action, "rename")) return rename(first, second) ? failed() : 0;
    else if (!strcmp(action, "symlink")) return symlink(first, second) ? failed() : 0;
    else if (!strcmp(action, "link")) return link(first, second) ? failed() : 0;
    else if (!strcmp(action, "open-many")) return open_many(first);
    else if (!strcmp(action, "raw-open")) return raw_open(atoi(first), second, 0);
    else if (!strcmp(action, "raw-create")) return raw_open(atoi(first), second, 1);
    else if (!strcmp(action, "socket")) printf("errno %d", __wasi_sock_shutdown(3, 1));
    else if (!strcmp(action, "sleep")) return wait_ms(atol(first));
    else if (!strcmp(action, "poll")) return wait_for_input();
    else if (!strcmp(action, "yield")) for (int i = atoi(first); i > 0; i--) sched_yield();
    else if (!strcmp(action, "complain")) fputs(first, stderr);
    else if (!strcmp(action, "open-for-ever")) for (;;) { int file = open(first, O_RDONLY); if (file >= 0) close(file); }
    else if (!strcmp(action, "print-for-ever")) for (;;) puts("and again and again");
    else if (!strcmp(action, "compute-for-ever")) for (volatile int i = 0;; i++) {}
    else if (!strcmp(action, "abort")) abort();
    else printf("no such action: %s", action);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        printf("content-type: text/plain\n\nnothing to do");
        return 0;
    }
    if (!strcmp(argv[1], "print")) {  // the raw output is the body that came
        return act("input", 0, argv);
    }
    if (!strcmp(argv[1], "exit")) return argc > 2 ? atoi(argv[2]) : 0;
    printf("content-type: text/plain\n\n");
    return act(argv[1], argc - 2, argv + 2);
}

__attribute__((export_name("_routes"))) void routes(void) {
    puts("/one one");
    puts("/many/... many");
    fflush(stdout);
}

static void tell(const char *what) {
    printf("content-type: text/plain\n\n%s %s %s", what, getenv("X_MATCHED_ROUTE"), getenv("PATH_INFO"));
    fflush(stdout);
}

__attribute__((export_name("one"))) void one(void) { tell("one"); }

__attribute__((export_name("many"))) void many(void) { tell("many"); }
