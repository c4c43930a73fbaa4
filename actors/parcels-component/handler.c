// Says over HTTP what a parcel costs: a component that calls another by an interface of their own. Without an SDK: what
// the canonical ABI makes of the functions of WIT is written out below.
#include <stdint.h>

#include "../parcels/wish.h"

#define IMPORT(interface, function) __attribute__((import_module(interface), import_name(function))) extern
#define EXPORT(function) __attribute__((export_name(function)))
#define HTTP "wasi:http/types@0.2.12"
#define TEXT(literal) literal, sizeof(literal) - 1

// Handles are numbers. What does not fit into one result is written to where the last argument points.
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
IMPORT("lattice:parcels/postage@0.1.0", "price")
void price(const char *to, uint32_t size, uint32_t grams, uint32_t services, int32_t insured, uint32_t worth, void *result);

typedef struct {
    const char *at;
    uint32_t size;
} Text;

typedef struct {
    uint8_t tag;
    Text text;
} Tagged; // option<string>

typedef struct {
    uint8_t failed;
    int32_t handle;
} Handle; // result<own<...>>

typedef struct {
    uint8_t failed;
    union {
        struct {
            uint32_t cents;
            uint8_t zone;
            uint8_t days[2];
        } quote;
        struct {
            uint8_t reason;
            union {
                uint32_t grams_max;
                Text country;
            };
        } refusal;
    };
} Priced; // result<quote, refusal>

static const Text zones[] = {{TEXT("home")}, {TEXT("near")}, {TEXT("far")}};

// An instance answers one request, so nothing is freed.
static _Alignas(16) char room[64 * 1024];
static uint32_t used;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
    uint32_t start = (used + align - 1) & ~(align - 1);
    if (start > sizeof room || size > sizeof room - start) __builtin_trap();
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

static void put_number(Text *text, uint32_t number) {
    char digits[10];
    uint32_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put(text, digits + at, sizeof digits - at);
}

static void put_quote(Text *text, const Priced *priced) {
    put(text, TEXT("{\"cents\":"));
    put_number(text, priced->quote.cents);
    put(text, TEXT(",\"zone\":\""));
    put(text, zones[priced->quote.zone].at, zones[priced->quote.zone].size);
    put(text, TEXT("\",\"days\":["));
    put_number(text, priced->quote.days[0]);
    put(text, TEXT(","));
    put_number(text, priced->quote.days[1]);
    put(text, TEXT("]}\n"));
}

static void put_refusal(Text *text, const Priced *priced) {
    if (priced->refusal.reason == 0) {
        put(text, TEXT("{\"error\":\"too heavy, at most "));
        put_number(text, priced->refusal.grams_max);
        put(text, TEXT(" g\"}\n"));
    } else {
        put(text, TEXT("{\"error\":\"no post goes to "));
        put(text, priced->refusal.country.at, priced->refusal.country.size);
        put(text, TEXT("\"}\n"));
    }
}

static int32_t ask(int32_t request, Text *text) {
    Tagged path;
    request_path(request, &path);
    uint32_t size = 0;
    while (path.tag && size < path.text.size && path.text.at[size] != '?') size++;
    Wish wish;
    if (!wish_read(path.text.at, size, &wish)) {
        put(text, TEXT("{\"error\":\"" WISH_USAGE "\"}\n"));
        return 404;
    }
    Priced priced;
    price(wish.to, 2, wish.grams, wish.services, wish.insured, wish.insured ? wish.worth : 0, &priced);
    if (priced.failed) put_refusal(text, &priced);
    else put_quote(text, &priced);
    return priced.failed ? 422 : 200;
}

static void answer(int32_t out, int32_t status, Text text) {
    uint32_t result[16];
    int32_t fields = fields_new();
    fields_append(fields, TEXT("content-type"), TEXT("application/json"), result);
    int32_t response = response_new(fields);
    response_set_status(response, status);
    Handle body, stream;
    response_body(response, &body);
    outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
    body_write(body.handle, &stream);
    stream_write(stream.handle, text.at, text.size, result);
    stream_drop(stream.handle);
    body_finish(body.handle, 0, 0, result);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle") void handle(int32_t request, int32_t out) {
    Text text = {0};
    int32_t status = ask(request, &text);
    request_drop(request);
    answer(out, status, text);
}
