// A WASI command as an HTTP handler: it reads CGI variables and its input, and prints headers and a body.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

int main(int argc, char **argv) {
    char buffer[64 * 1024];
    size_t read = fread(buffer, 1, sizeof buffer, stdin);
    if (read > 0) {
        const char *type = variable("CONTENT_TYPE");
        printf("content-type: %s\n\n", *type ? type : "application/octet-stream");
        do {
            fwrite(buffer, 1, read, stdout);
        } while ((read = fread(buffer, 1, sizeof buffer, stdin)) > 0);
        return 0;
    }
    printf("content-type: text/plain\n\n");
    if (argc <= 1 && strcmp(variable("PATH_INFO"), "/") == 0) {
        printf("hello");
        return 0;
    }
    printf("%s %s\nroute %s\n", variable("REQUEST_METHOD"), variable("PATH_INFO"), variable("X_MATCHED_ROUTE"));
    for (int i = 1; i < argc; i++) printf("argument %s\n", argv[i]);
    return 0;
}
