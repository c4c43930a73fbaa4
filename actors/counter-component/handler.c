// Counts the requests to each path. A component without an SDK: what the canonical ABI makes of the functions of WIT
// is written out below.
#include <stdint.h>

#define IMPORT(interface, function) __attribute__((import_module(interface), import_name(function))) extern
#define EXPORT(function) __attribute__((export_name(function)))
#define HTTP "wasi:http/types@0.2.12"
#define STORE "wasi:keyvalue/store@0.2.0-draft"
#define TEXT(literal) literal, sizeof(literal) - 1

// Handles are numbers. What does not fit into one result is written to where the last argument points.
IMPORT(HTTP, "[method]incoming-request.method") void request_method(int32_t request, void *result);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_path(int32_t request, void *result);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(int32_t request);
IMPORT(HTTP, "[constructor]fields") int32_t fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(int32_t fields, const char *name, uint32_t size, const char *value, uint32_t value_size, void *result);
IMPORT(HTTP, "[constructor]outgoing-response") int32_t response_new(int32_t fields);
IMPORT(HTTP, "[method]outgoing-response.set-status-code") int32_t response_set_status(int32_t response, int32_t status);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(int32_t response, void *result);
IMPORT(HTTP, "[static]response-outparam.set")
void outparam_set(int32_t out, int32_t failed, int32_t response, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(int32_t body, void *result);
IMPORT(HTTP, "[static]outgoing-body.finish")
void body_finish(int32_t body, int32_t has_trailers, int32_t trailers, void *result);
IMPORT("wasi:io/streams@0.2.12", "[method]output-stream.blocking-write-and-flush")
void stream_write(int32_t stream, const char *at, uint32_t size, void *result);
IMPORT("wasi:io/streams@0.2.12", "[resource-drop]output-stream") void stream_drop(int32_t stream);
IMPORT(STORE, "open") void store_open(const char *name, uint32_t size, void *result);
IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(int32_t bucket);
IMPORT("wasi:keyvalue/atomics@0.2.0-draft", "increment")
void increment(int32_t bucket, const char *key, uint32_t size, int64_t by, void *result);

typedef struct {
    const char *at;
    uint32_t size;
} Text;

typedef struct {
    uint8_t failed;
    int32_t handle;
} Handle; // result<own<...>>

typedef struct {
    uint8_t tag;
    Text text;
} Tagged; // variant with texts, option<string>

typedef struct {
    uint8_t failed;
    union {
        int32_t bucket;
        Tagged error;
    };
} Opened;

typedef struct {
    uint8_t failed;
    union {
        uint64_t value;
        Tagged error;
    };
} Counted;

// An instance answers one request, so nothing is freed.
static _Alignas(16) char room[64 * 1024];
static uint32_t used;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
    uint32_t start = (used + align - 1) & ~(align - 1);
    if (start + size > sizeof room) __builtin_trap();
    used = start + size;
    if (old_size) __builtin_memcpy(room + start, old, old_size);
    return room + start;
}

static void put(Text *text, const char *at, uint32_t size) {
    char *end = cabi_realloc(0, 0, 1, size);
    __builtin_memcpy(end, at, size);
    if (!text->size) text->at = end;
    text->size += size;
}

static void put_number(Text *text, uint64_t number) {
    char digits[20];
    uint32_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put(text, digits + at, sizeof digits - at);
}

static void header(int32_t fields, const char *name, uint32_t size, const char *value, uint32_t value_size) {
    uint8_t result[2];
    fields_append(fields, name, size, value, value_size, result);
}

static void answer(int32_t out, int32_t status, Text text) {
    int32_t fields = fields_new();
    header(fields, TEXT("content-type"), TEXT("application/json"));
    if (status == 405) header(fields, TEXT("allow"), TEXT("GET"));
    int32_t response = response_new(fields);
    response_set_status(response, status);
    Handle body, stream;
    response_body(response, &body);
    outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
    body_write(body.handle, &stream);
    uint32_t result[16];
    stream_write(stream.handle, text.at, text.size, result);
    stream_drop(stream.handle);
    body_finish(body.handle, 0, 0, result);
}

static int32_t count(int32_t request, Text *text) {
    Tagged method, path;
    request_method(request, &method);
    if (method.tag != 0) {
        put(text, TEXT("{\"error\":\"only GET counts\"}\n"));
        return 405;
    }
    request_path(request, &path);
    uint32_t size = 0;
    while (path.tag && size < path.text.size && path.text.at[size] != '?') size++;
    Opened bucket;
    Counted counted = {.failed = 1};
    store_open(TEXT("default"), &bucket);
    if (!bucket.failed) {
        increment(bucket.bucket, path.text.at, size, 1, &counted);
        bucket_drop(bucket.bucket);
    }
    if (counted.failed) {
        put(text, TEXT("{\"error\":\"the store cannot be used\"}\n"));
        return 503;
    }
    put(text, TEXT("{\"counter\":"));
    put_number(text, counted.value);
    put(text, TEXT("}\n"));
    return 200;
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle") void handle(int32_t request, int32_t out) {
    Text text = {0};
    int32_t status = count(request, &text);
    request_drop(request);
    answer(out, status, text);
}
