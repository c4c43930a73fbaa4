// Counts the requests to each path, in files: a command has no key-value store.
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

// The file of a path. Everything but letters and digits is escaped.
static int counts_of(const char *route, const char *rest) {
    char name[4096] = "/counts/";
    size_t size = strlen(name);
    for (const char *parts[] = {route, rest}, **part = parts; part < parts + 2; part++)
        for (const char *at = *part; *at && size < sizeof name - 4; at++)
            size += (size_t)sprintf(name + size, isalnum((unsigned char)*at) ? "%c" : "%%%02X", (unsigned char)*at);
    return open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
}

int main(void) {
    if (strcmp(variable("REQUEST_METHOD"), "GET") != 0) {
        printf("status: 405\nallow: GET\ncontent-type: application/json\n\n{\"error\":\"only GET counts\"}\n");
        return 0;
    }
    // Each request adds a byte. Where it landed is the count, also when others append meanwhile.
    int file = counts_of(variable("SCRIPT_NAME"), variable("X_RAW_PATH_INFO"));
    long long counter = file < 0 || write(file, ".", 1) != 1 ? -1 : lseek(file, 0, SEEK_CUR);
    if (counter < 0)
        printf("status: 503\ncontent-type: application/json\n\n{\"error\":\"the count cannot be kept\"}\n");
    else
        printf("content-type: application/json\n\n{\"counter\":%lld}\n", counter);
    return 0;
}
