/* Actors in C. An actor is a few functions, named in a list:
 *
 *     #include "lattice.h"
 *
 *     static void hello(const HttpRequest *request, HttpReply *reply) {
 *         reply_text(reply, 200, TEXT("hello\n"));
 *     }
 *
 *     ACTOR(ON_HTTP(hello))
 *
 * Memory: everything these functions return lives until the handler has returned. Nothing is freed singly, and nothing
 * may be kept from call to call: keep state in a capability.
 *
 * Errors stick: when a call to the host fails, it returns zero or an empty text, calls after it do nothing and return
 * the same, and when the handler has returned, its own call fails with that error. So a handler reads as if nothing
 * could fail. One that knows better asks `failed()` and takes the error with `error_take()`.
 */
#ifndef LATTICE_H
#define LATTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- texts and buffers ---------------------------------------------------------------------------------------- */

/* Some bytes, mostly UTF-8. Not ended by a NUL. */
typedef struct {
    const char *at;
    uint32_t size;
} Text;

typedef struct {
    const Text *at;
    uint32_t count;
} TextList;

/* A text that grows. Starts as zeros: `Buffer page = {0};` */
typedef struct {
    char *at;
    uint32_t size, capacity;
} Buffer;

#define TEXT(literal) ((Text)TEXT_OF(literal))
#define TEXT_OF(literal) {(literal), sizeof(literal) - 1} /* for initialisers of constants */

bool text_equal(Text one, Text other);
bool text_starts(Text text, Text start);
Text text_from(Text text, uint32_t start);                    /* the rest; empty past the end */
bool text_cut(Text text, char at, Text *before, Text *after); /* false, and all of it `before`, without an `at` */
Text text_join(Text one, Text other);
Text text_number(int64_t number);

void *take(uint32_t size); /* memory until the call is over; not zeroed */
void put(Buffer *buffer, Text text);
void put_byte(Buffer *buffer, uint8_t byte);
void put_number(Buffer *buffer, int64_t number);
void put_json(Buffer *buffer, Text text); /* as a JSON string, with its quotes */
void put_html(Buffer *buffer, Text text); /* with & < > " ' escaped */
Text buffer_text(const Buffer *buffer);

/* The text member `field` of a JSON object. False if `json` is not one well-formed object that has it. */
bool json_text(Text json, Text field, Text *value);

/* ---- errors --------------------------------------------------------------------------------------------------- */

void fail(Text why);        /* the first failure of a call is the one that counts */
bool failed(void);
Text error_take(void);      /* the error, forgotten; empty if there is none */
bool error_is(Text code);   /* host errors are "code: message"; for example TEXT("not_linked") */

/* ---- handlers ------------------------------------------------------------------------------------------------- */

typedef struct {
    Text method, path, query, body; /* path with its "/", query without its "?" */
    Text headers;                   /* for `http_header` */
} HttpRequest;

typedef struct {
    uint16_t status;  /* 200 unless set */
    Buffer body;
    Buffer headers;   /* for `reply_header` */
    uint32_t header_count;
} HttpReply;

Text http_header(const HttpRequest *request, Text name); /* the first value; the name in lower case */
bool http_query(const HttpRequest *request, Text name, Text *value); /* percent-decoded */
void reply_header(HttpReply *reply, Text name, Text value);
void reply_text(HttpReply *reply, uint16_t status, Text text);
void reply_html(HttpReply *reply, uint16_t status); /* the body is put by the caller */
void reply_json(HttpReply *reply, uint16_t status); /* the body is put by the caller */
void reply_error(HttpReply *reply, uint16_t status, Text why); /* {"error": why} */

typedef struct {
    Text subject, reply_to, body; /* `reply_to` is empty when nobody waits for a reply */
} Message;

typedef struct {
    Text timer;
    int64_t scheduled_ms, now_ms; /* since 1970 */
    uint32_t missed;
} Tick;

typedef void HttpHandler(const HttpRequest *request, HttpReply *reply);
typedef void MessageHandler(const Message *message);
typedef void TickHandler(const Tick *tick);
typedef Text BytesHandler(Text operation, Text payload); /* returns the reply */

typedef struct Handler {
    Text operation; /* empty: any */
    Text (*serve)(const struct Handler *self, Text operation, Text payload);
    union {
        HttpHandler *http;
        MessageHandler *message;
        TickHandler *tick;
        BytesHandler *bytes;
    } by;
} Handler;

Text serve_http(const Handler *self, Text operation, Text payload);
Text serve_message(const Handler *self, Text operation, Text payload);
Text serve_tick(const Handler *self, Text operation, Text payload);
Text serve_bytes(const Handler *self, Text operation, Text payload);

#define ON_HTTP(function) {TEXT_OF("HttpServer.HandleRequest"), serve_http, {.http = (function)}}
#define ON_MESSAGE(function) {TEXT_OF("MessageSubscriber.HandleMessage"), serve_message, {.message = (function)}}
#define ON_TICK(function) {TEXT_OF("Cron.HandleTick"), serve_tick, {.tick = (function)}}
#define ON(operation, function) {TEXT_OF(operation), serve_bytes, {.bytes = (function)}}
#define ON_ANY(function) {{NULL, 0}, serve_bytes, {.bytes = (function)}}

/* The handlers of the actor. The first that fits is used; without one of its own, "Actor.HealthRequest" gets a yes. */
#define ACTOR(...) \
    const Handler actor_handlers[] = {__VA_ARGS__}; \
    const uint32_t actor_handler_count = sizeof actor_handlers / sizeof *actor_handlers;

extern const Handler actor_handlers[];
extern const uint32_t actor_handler_count;

/* ---- capabilities --------------------------------------------------------------------------------------------- */

void use_link(Text name); /* for the capability calls that follow in this call; "default" until then */

Text kv_get(Text key, bool *exists); /* `exists` may be NULL */
void kv_set(Text key, Text value, uint32_t expires_s); /* 0: never */
bool kv_delete(Text key);
bool kv_contains(Text key);
int32_t kv_increment(Text key, int32_t by); /* atomic; returns the new value */
uint32_t kv_list_add(Text list, Text value); /* returns the new length */
bool kv_list_remove(Text list, Text value);
TextList kv_list_range(Text list, int32_t start, int32_t stop); /* both included; -1 is the last */
bool kv_list_clear(Text list);
uint32_t kv_set_add(Text set, Text value); /* 1, or 0 when it was there already */
uint32_t kv_set_remove(Text set, Text value);
TextList kv_set_members(Text set);
TextList kv_set_union(TextList sets);
TextList kv_set_intersection(TextList sets);
bool kv_set_clear(Text set);

void publish(Text subject, Text body);
void publish_with_reply(Text subject, Text reply_to, Text body);
Message request(Text subject, Text body, uint32_t timeout_ms);

typedef struct {
    bool found;
    Text bytes, content_type;
} Blob;

void blob_create_container(Text container); /* fine when it is there */
void blob_put(Text container, Text object, Text content_type, Text bytes);
Blob blob_get(Text container, Text object);
void blob_delete(Text container, Text object);

void log_debug(Text text);
void log_info(Text text);
void log_warn(Text text);
void log_error(Text text);
uint32_t random_32(void);
uint32_t random_in_range(uint32_t min, uint32_t max); /* both included */
Text random_guid(void);
int64_t now_ms(void); /* since 1970; from WASI's clock */

/* ---- other actors, other contracts ------------------------------------------------------------------------------ */

Text call_actor(Text key_or_alias, Text operation, Text payload);
Text call_provider(Text contract, Text operation, Text payload); /* MessagePack in and out: msgpack.h */

#endif
