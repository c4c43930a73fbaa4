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
#define NO_TEXT {NULL, 0}

bool text_equal(Text one, Text other);
bool text_starts(Text text, Text start);
Text text_from(Text text, uint32_t start);                    /* the rest; empty past the end */
bool text_cut(Text text, char at, Text *before, Text *after); /* false, and all of it `before`, without an `at` */
bool text_is_utf8(Text text);
double text_double(Text text); /* of a number as JSON writes it; anything else gives anything */
Text text_join(Text one, Text other);
Text text_number(int64_t number);

void *take(uint32_t size); /* memory until the call is over; not zeroed */
void put(Buffer *buffer, Text text);
void put_byte(Buffer *buffer, uint8_t byte);
void put_number(Buffer *buffer, int64_t number);
void put_double(Buffer *buffer, double number); /* the shortest that reads back as the same; "null" for infinity */
void put_json(Buffer *buffer, Text text); /* as a JSON string, with its quotes */
void put_html(Buffer *buffer, Text text); /* with & < > " ' escaped */
Text buffer_text(const Buffer *buffer);

void put_json_texts(Buffer *buffer, TextList texts); /* as a JSON list */

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

/* The text member `field` of a JSON object. False if `json` is not one well-formed object that has it. */
bool json_text(Text json, Text field, Text *value);

/* A member that is kept as it is written, whatever it is: `json_read` reads it further if it is an object. */
typedef struct {
    Text text;
} Json;

typedef enum { JSON_TEXT, JSON_INTEGER, JSON_NUMBER, JSON_TRUTH, JSON_TEXTS, JSON_ANY } JsonKind;

typedef struct {
    Text name;
    JsonKind kind;
    uint16_t offset, size;
    bool optional;
} Field;

/* The members of a struct that are members of a JSON object. They are Text, int64_t, double, bool, TextList or Json:
 *
 *     typedef struct { Text name; int64_t age; Text town; } Person;
 *     static const Field person_fields[] = {FIELD(Person, name), FIELD(Person, age), OPTIONAL(Person, town)};
 *
 * What is optional may be missing or null, and is all zeros then; FIELD_NAMED(Person, age, "ageInYears") has another name
 * in JSON. */
#define FIELD(type, member) FIELD_OF(type, member, #member, false)
#define FIELD_NAMED(type, member, name) FIELD_OF(type, member, name, false)
#define OPTIONAL(type, member) FIELD_OF(type, member, #member, true)
#define OPTIONAL_NAMED(type, member, name) FIELD_OF(type, member, name, true)
#define FIELD_OF(type, member, name, optional) \
    {TEXT_OF(name), JSON_KIND(((type *)0)->member), offsetof(type, member), sizeof(((type *)0)->member), optional}
#define JSON_KIND(member) \
    _Generic((member), Text: JSON_TEXT, int64_t: JSON_INTEGER, double: JSON_NUMBER, bool: JSON_TRUTH, \
        TextList: JSON_TEXTS, Json: JSON_ANY)

/* Reads a JSON object into a record. False, and this call fails with `invalid: ` and what is wrong with which member. */
#define json_read(json, fields, record) json_read_fields((json), (fields), sizeof(fields) / sizeof *(fields), (record))
#define json_write(fields, record) json_write_fields((fields), sizeof(fields) / sizeof *(fields), (record))
bool json_read_fields(Text json, const Field *fields, uint32_t count, void *record);
Text json_write_fields(const Field *fields, uint32_t count, const void *record);

/* ---- errors --------------------------------------------------------------------------------------------------- */

void fail(Text why);        /* the first failure of a call is the one that counts */
void fail_with(Text code, Text why); /* "code: why" */
bool failed(void);
Text error_take(void);      /* the error, forgotten; empty if there is none */
bool error_is(Text code);   /* host errors are "code: message"; for example TEXT("not_linked") */

/* In a handler of HTTP requests, errors of these codes become answers {"error": why}: invalid 400, unauthorized 401,
 * forbidden 403, not_found 404, conflict 409, too_large 413, unavailable 503, timeout 504. Every other error fails the
 * call; the HTTP server answers 502, or what fits better to what the host itself refused. */

/* ---- handlers ------------------------------------------------------------------------------------------------- */

typedef struct {
    Text method, path, query, body; /* path with its "/", query without its "?" */
    Text headers;                   /* for `http_header` */
    Text pattern;                   /* of the route, for `http_param` */
} HttpRequest;

typedef struct {
    uint16_t status;  /* 200 unless set */
    Buffer body;
    Buffer headers;   /* for `reply_header` */
    uint32_t header_count;
} HttpReply;

Text http_header(const HttpRequest *request, Text name); /* the first value; the name in lower case */
bool http_query(const HttpRequest *request, Text name, Text *value); /* percent-decoded */
Text http_param(const HttpRequest *request, Text name); /* what stands in the path for {name}, percent-decoded */
void reply_header(HttpReply *reply, Text name, Text value);
void reply_text(HttpReply *reply, uint16_t status, Text text);
void reply_html(HttpReply *reply, uint16_t status); /* the body is put by the caller */
void reply_json(HttpReply *reply, uint16_t status); /* the body is put by the caller */
void reply_json_text(HttpReply *reply, uint16_t status, Text json);
#define reply_record(reply, status, fields, record) reply_json_text((reply), (status), json_write((fields), (record)))
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
    Text pattern, method; /* of what it handles; empty: everything */
} Handler;

Text serve_http(const Handler *self, Text operation, Text payload);
Text serve_message(const Handler *self, Text operation, Text payload);
Text serve_tick(const Handler *self, Text operation, Text payload);
Text serve_bytes(const Handler *self, Text operation, Text payload);
Text serve_route(const Handler *self, Text operation, Text payload);
Text serve_subject(const Handler *self, Text operation, Text payload);
Text serve_timer(const Handler *self, Text operation, Text payload);

/* ROUTE("GET", "/people/{name}", f): of several routes the first that fits; ON_HTTP after them gets what fits none, which
 * otherwise is answered 404, or 405 where only the method is another. ON_SUBJECT("jobs.*", f) and ON_TIMER("nightly", f)
 * are to ON_MESSAGE and ON_TICK what ROUTE is to ON_HTTP: `*` is one word of a subject, a final `>` one or more. */
#define ROUTE(method, pattern, function) \
    {TEXT_OF("HttpServer.HandleRequest"), serve_route, {.http = (function)}, TEXT_OF(pattern), TEXT_OF(method)}
#define ON_SUBJECT(pattern, function) \
    {TEXT_OF("MessageSubscriber.HandleMessage"), serve_subject, {.message = (function)}, TEXT_OF(pattern), NO_TEXT}
#define ON_TIMER(timer, function) \
    {TEXT_OF("Cron.HandleTick"), serve_timer, {.tick = (function)}, TEXT_OF(timer), NO_TEXT}
#define ON_HTTP(function) {TEXT_OF("HttpServer.HandleRequest"), serve_http, {.http = (function)}, NO_TEXT, NO_TEXT}
#define ON_MESSAGE(function) \
    {TEXT_OF("MessageSubscriber.HandleMessage"), serve_message, {.message = (function)}, NO_TEXT, NO_TEXT}
#define ON_TICK(function) {TEXT_OF("Cron.HandleTick"), serve_tick, {.tick = (function)}, NO_TEXT, NO_TEXT}
#define ON(operation, function) {TEXT_OF(operation), serve_bytes, {.bytes = (function)}, NO_TEXT, NO_TEXT}
#define ON_ANY(function) {NO_TEXT, serve_bytes, {.bytes = (function)}, NO_TEXT, NO_TEXT}

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
TextList blob_list(Text container, Text prefix); /* the names of its objects, in order */

/* A value of a statement or a row. */
typedef struct {
    enum { SQL_NULL, SQL_TRUTH, SQL_INTEGER, SQL_REAL, SQL_TEXT, SQL_BYTES } kind;
    bool truth;
    int64_t integer;
    double real;
    Text text; /* or bytes */
} SqlValue;

typedef struct {
    const SqlValue *at;
    uint32_t count;
} SqlValues;

typedef struct {
    TextList columns;
    uint32_t count, done;
    SqlValues row; /* after `sql_next` */
    Text left;
} SqlRows;

SqlValue sql_null(void);
SqlValue sql_truth(bool truth);
SqlValue sql_integer(int64_t integer);
SqlValue sql_real(double real);
SqlValue sql_text(Text text);
SqlValue sql_bytes(Text bytes);

/* sql_query(TEXT("SELECT name FROM people WHERE age > ?"), SQL_VALUES(sql_integer(17))); what the database refuses fails
 * this call with `sql: ` and its words. */
#define SQL_VALUES(...) \
    ((SqlValues){(const SqlValue[]){__VA_ARGS__}, sizeof((const SqlValue[]){__VA_ARGS__}) / sizeof(SqlValue)})
#define SQL_NO_VALUES ((SqlValues){NULL, 0})
int64_t sql_execute(Text sql, SqlValues parameters); /* the number of rows that it changed */
SqlRows sql_query(Text sql, SqlValues parameters);
bool sql_next(SqlRows *rows); /* the next row into `row`; false after the last */
void put_sql_json(Buffer *buffer, SqlValue value);

typedef struct {
    Text name, value;
} Header;

typedef struct {
    Text method, url; /* without a method, GET */
    const Header *headers;
    uint32_t header_count;
    Text body;
} HttpCall;

typedef struct {
    uint16_t status;
    Text body;
    Text headers; /* for `answer_header` */
} HttpAnswer;

HttpAnswer fetch(const HttpCall *call); /* fetch(&(HttpCall){.url = TEXT("https://..."), .method = TEXT("PUT")}) */
HttpAnswer fetch_url(Text url);
Text answer_header(const HttpAnswer *answer, Text name); /* the first value; the name in lower case */

void log_debug(Text text);
void log_info(Text text);
void log_warn(Text text);
void log_error(Text text);
uint32_t random_32(void);
uint32_t random_in_range(uint32_t min, uint32_t max); /* both included */
Text random_guid(void);
void log_at(Text level, Text text); /* "debug", "info", "warn" or "error" */
int64_t now_ms(void); /* since 1970; from WASI's clock */

/* ---- other actors, other contracts ------------------------------------------------------------------------------ */

Text call_actor(Text key_or_alias, Text operation, Text payload);
Text call_provider(Text contract, Text operation, Text payload); /* MessagePack in and out: msgpack.h */

#endif
