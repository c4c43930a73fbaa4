/* What every SDK can do, for tests/sdk/test_conformance.py. actors/sdk/README.md says what each route does. */
#include "lattice.h"

/* ---- requests, records ------------------------------------------------------------------------------------------ */

typedef struct {
    Text hello;
} Greeting;
static const Field greeting_fields[] = {FIELD(Greeting, hello)};

static void hello(const HttpRequest *request, HttpReply *reply) {
    Greeting greeting = {TEXT("world")};
    http_query(request, TEXT("name"), &greeting.hello);
    reply_record(reply, 200, greeting_fields, &greeting);
}

static void echo(const HttpRequest *request, HttpReply *reply) {
    reply_text(reply, 202, request->body);
    reply_header(reply, TEXT("x-echo"), http_header(request, TEXT("x-echo")));
}

typedef struct {
    Text name;
    int64_t age;
} Person;
static const Field person_fields[] = {FIELD(Person, name), FIELD(Person, age)};

static void add_person(const HttpRequest *request, HttpReply *reply) {
    Person person;
    if (!json_read(request->body, person_fields, &person)) return;
    if (person.age < 0) fail_with(TEXT("invalid"), TEXT("\"age\" must not be negative"));
    kv_set(text_join(TEXT("people:"), person.name), json_write(person_fields, &person), 0);
    reply_record(reply, 201, person_fields, &person);
}

static void get_person(const HttpRequest *request, HttpReply *reply) {
    bool exists;
    Text person = kv_get(text_join(TEXT("people:"), http_param(request, TEXT("name"))), &exists);
    if (!exists) fail_with(TEXT("not_found"), TEXT("there is no such person"));
    reply_json_text(reply, 200, person);
}

typedef struct {
    Text text;
    int64_t whole;
    double number;
    bool truth;
    TextList list;
    Text maybe;
    Json any;
} Everything;
static const Field everything_fields[] = {
    FIELD(Everything, text),  FIELD(Everything, whole),     FIELD(Everything, number), FIELD(Everything, truth),
    FIELD(Everything, list), OPTIONAL(Everything, maybe), OPTIONAL(Everything, any),
};

static void everything(const HttpRequest *request, HttpReply *reply) {
    Everything all;
    if (json_read(request->body, everything_fields, &all)) reply_record(reply, 200, everything_fields, &all);
}

static void fail_as_told(const HttpRequest *request, HttpReply *reply) {
    (void)reply;
    Text code = TEXT("");
    http_query(request, TEXT("code"), &code);
    fail_with(code, TEXT("as you wish"));
}

/* ---- key-value -------------------------------------------------------------------------------------------------- */

static void reply_value(HttpReply *reply, const Buffer *value) {
    reply_json(reply, 200);
    put(&reply->body, TEXT("{\"value\":"));
    put(&reply->body, buffer_text(value));
    put(&reply->body, TEXT("}"));
}

typedef struct {
    Text key, value;
    int64_t by;
    Text link;
} KeyValue;
static const Field kv_fields[] = {FIELD(KeyValue, key), OPTIONAL(KeyValue, value), OPTIONAL(KeyValue, by)};
static const Field via_fields[] = {FIELD(KeyValue, link), FIELD(KeyValue, key), FIELD(KeyValue, value)};

static void put_truth(Buffer *buffer, bool truth) { put(buffer, truth ? TEXT("true") : TEXT("false")); }

static void put_value_of(Buffer *buffer, Text key) {
    bool exists;
    Text value = kv_get(key, &exists);
    if (exists)
        put_json(buffer, value);
    else
        put(buffer, TEXT("null"));
}

static void key_value(const HttpRequest *request, HttpReply *reply) {
    KeyValue asked;
    if (!json_read(request->body, kv_fields, &asked)) return;
    Text op = http_param(request, TEXT("op")), key = asked.key, value = asked.value;
    bool needs_value = text_equal(op, TEXT("set")) || text_starts(op, TEXT("list-add")) ||
                       text_equal(op, TEXT("list-remove")) || text_equal(op, TEXT("set-add")) ||
                       text_equal(op, TEXT("set-remove"));
    if (needs_value && !value.at) fail_with(TEXT("invalid"), TEXT("\"value\" is missing"));
    Buffer result = {0};
    if (text_equal(op, TEXT("get")))
        put_value_of(&result, key);
    else if (text_equal(op, TEXT("set")))
        kv_set(key, value, 0);
    else if (text_equal(op, TEXT("delete")))
        put_truth(&result, kv_delete(key));
    else if (text_equal(op, TEXT("contains")))
        put_truth(&result, kv_contains(key));
    else if (text_equal(op, TEXT("increment")))
        put_number(&result, kv_increment(key, asked.by ? (int32_t)asked.by : 1));
    else if (text_equal(op, TEXT("list-add")))
        put_number(&result, kv_list_add(key, value));
    else if (text_equal(op, TEXT("list-range")))
        put_json_texts(&result, kv_list_range(key, 0, -1));
    else if (text_equal(op, TEXT("list-remove")))
        put_truth(&result, kv_list_remove(key, value));
    else if (text_equal(op, TEXT("set-add")))
        put_number(&result, kv_set_add(key, value));
    else if (text_equal(op, TEXT("set-remove")))
        put_number(&result, kv_set_remove(key, value));
    else if (text_equal(op, TEXT("set-members")))
        put_json_texts(&result, kv_set_members(key));
    else
        fail_with(TEXT("not_found"), TEXT("there is no such operation"));
    if (result.size)
        reply_value(reply, &result);
    else
        reply_json_text(reply, 200, TEXT("{}"));
}

static void get_via(const HttpRequest *request, HttpReply *reply) {
    Text link = TEXT(""), key = TEXT("");
    http_query(request, TEXT("link"), &link);
    http_query(request, TEXT("key"), &key);
    use_link(link);
    Buffer value = {0};
    put_value_of(&value, key);
    reply_value(reply, &value);
}

static void set_via(const HttpRequest *request, HttpReply *reply) {
    KeyValue asked;
    if (!json_read(request->body, via_fields, &asked)) return;
    use_link(asked.link);
    kv_set(asked.key, asked.value, 0);
    reply_json_text(reply, 200, TEXT("{}"));
}

/* ---- messages, timers, actors ------------------------------------------------------------------------------------ */

typedef struct {
    Text subject, body, actor, operation;
} Told;
static const Field told_fields[] = {FIELD(Told, subject), FIELD(Told, body)};
static const Field call_fields[] = {FIELD(Told, actor), FIELD(Told, operation), FIELD(Told, body)};
static const Field body_fields[] = {FIELD(Told, body)};

static void publish_it(const HttpRequest *request, HttpReply *reply) {
    Told told;
    if (!json_read(request->body, told_fields, &told)) return;
    publish(told.subject, told.body);
    reply_json_text(reply, 200, TEXT("{}"));
}

static void request_it(const HttpRequest *request_, HttpReply *reply) {
    Told told;
    if (!json_read(request_->body, told_fields, &told)) return;
    told.body = request(told.subject, told.body, 2000).body;
    reply_record(reply, 200, body_fields, &told);
}

static Text reversed(Text text) {
    char *at = take(text.size);
    for (uint32_t i = 0; i < text.size; i++) at[i] = text.at[text.size - 1 - i];
    return (Text){at, text.size};
}

static void hear(const Message *message) {
    if (message->reply_to.size)
        publish(message->reply_to, reversed(message->body));
    else
        kv_set(text_join(TEXT("message:"), message->subject), message->body, 0);
}

static void tick(const Tick *tick) { kv_increment(text_join(TEXT("tick:"), tick->timer), 1); }

static Text reverse(Text operation, Text payload) {
    (void)operation;
    return reversed(payload);
}

static void call_it(const HttpRequest *request, HttpReply *reply) {
    Told told;
    if (!json_read(request->body, call_fields, &told)) return;
    told.body = call_actor(told.actor, told.operation, told.body);
    reply_record(reply, 200, body_fields, &told);
}

/* ---- blobs, SQL, HTTP --------------------------------------------------------------------------------------------- */

typedef struct {
    Text container, name, text;
    TextList names;
} BlobAsked;
static const Field blob_fields[] = {FIELD(BlobAsked, container), OPTIONAL(BlobAsked, name), OPTIONAL(BlobAsked, text)};
static const Field text_fields[] = {FIELD(BlobAsked, text)};
static const Field names_fields[] = {FIELD(BlobAsked, names)};

static void blobs(const HttpRequest *request, HttpReply *reply) {
    BlobAsked asked;
    if (!json_read(request->body, blob_fields, &asked)) return;
    Text op = http_param(request, TEXT("op"));
    reply_json_text(reply, 200, TEXT(""));
    if (text_equal(op, TEXT("put"))) {
        blob_create_container(asked.container);
        blob_put(asked.container, asked.name, TEXT("text/plain"), asked.text);
        put(&reply->body, TEXT("{}"));
    } else if (text_equal(op, TEXT("get"))) {
        Blob blob = blob_get(asked.container, asked.name);
        if (!blob.found) fail_with(TEXT("not_found"), TEXT("there is no such object"));
        asked.text = blob.bytes;
        put(&reply->body, json_write(text_fields, &asked));
    } else if (text_equal(op, TEXT("delete"))) {
        blob_delete(asked.container, asked.name);
        put(&reply->body, TEXT("{}"));
    } else if (text_equal(op, TEXT("list"))) {
        asked.names = blob_list(asked.container, TEXT(""));
        put(&reply->body, json_write(names_fields, &asked));
    } else
        fail_with(TEXT("not_found"), TEXT("there is no such operation"));
}

typedef struct {
    Text statement, text, url;
    int64_t whole;
    double number;
    int64_t affected, status;
    Text body;
} Asked;
static const Field statement_fields[] = {FIELD(Asked, statement), OPTIONAL(Asked, text), OPTIONAL(Asked, whole),
                                         OPTIONAL(Asked, number)};
static const Field affected_fields[] = {FIELD(Asked, affected)};
static const Field url_fields[] = {FIELD(Asked, url)};
static const Field fetched_fields[] = {FIELD(Asked, status), FIELD(Asked, body)};

static SqlValues parameters_of(const Asked *asked) {
    SqlValue *values = take(3 * sizeof *values);
    values[0] = asked->text.at ? sql_text(asked->text) : sql_null();
    values[1] = sql_integer(asked->whole);
    values[2] = sql_real(asked->number);
    return (SqlValues){values, asked->text.at ? 3 : 0};
}

static void execute(const HttpRequest *request, HttpReply *reply) {
    Asked asked;
    if (!json_read(request->body, statement_fields, &asked)) return;
    asked.affected = sql_execute(asked.statement, parameters_of(&asked));
    reply_record(reply, 200, affected_fields, &asked);
}

static void query(const HttpRequest *request, HttpReply *reply) {
    Asked asked;
    if (!json_read(request->body, statement_fields, &asked)) return;
    SqlRows rows = sql_query(asked.statement, parameters_of(&asked));
    Buffer *body = &reply->body;
    reply_json_text(reply, 200, TEXT("{\"columns\":"));
    put_json_texts(body, rows.columns);
    put(body, TEXT(",\"rows\":["));
    while (sql_next(&rows)) {
        put(body, rows.done > 1 ? TEXT(",[") : TEXT("["));
        for (uint32_t i = 0; i < rows.row.count; i++) {
            if (i) put_byte(body, ',');
            put_sql_json(body, rows.row.at[i]);
        }
        put_byte(body, ']');
    }
    put(body, TEXT("]}"));
}

static void fetch_it(const HttpRequest *request, HttpReply *reply) {
    Asked asked;
    if (!json_read(request->body, url_fields, &asked)) return;
    HttpAnswer answer = fetch_url(asked.url);
    asked.status = answer.status;
    asked.body = answer.body;
    reply_record(reply, 200, fetched_fields, &asked);
}

/* ---- time, random numbers, log ------------------------------------------------------------------------------------- */

typedef struct {
    int64_t now, random;
    Text guid, level, message;
} Others;
static const Field now_fields[] = {FIELD(Others, now)};
static const Field random_fields[] = {FIELD(Others, random), FIELD(Others, guid)};
static const Field log_fields[] = {FIELD(Others, level), FIELD(Others, message)};

static void now(const HttpRequest *request, HttpReply *reply) {
    (void)request;
    Others others = {.now = now_ms()};
    reply_record(reply, 200, now_fields, &others);
}

static void random_it(const HttpRequest *request, HttpReply *reply) {
    (void)request;
    Others others = {.random = random_32(), .guid = random_guid()};
    reply_record(reply, 200, random_fields, &others);
}

static void log_it(const HttpRequest *request, HttpReply *reply) {
    Others others;
    if (!json_read(request->body, log_fields, &others)) return;
    if (text_equal(others.level, TEXT("debug")))
        log_debug(others.message);
    else if (text_equal(others.level, TEXT("info")))
        log_info(others.message);
    else if (text_equal(others.level, TEXT("warn")))
        log_warn(others.message);
    else if (text_equal(others.level, TEXT("error")))
        log_error(others.message);
    else
        fail_with(TEXT("invalid"), TEXT("\"level\" is debug, info, warn or error"));
    reply_json_text(reply, 200, TEXT("{}"));
}

ACTOR(ROUTE("GET", "/hello", hello), ROUTE("POST", "/echo", echo), ROUTE("POST", "/people", add_person),
      ROUTE("GET", "/people/{name}", get_person), ROUTE("POST", "/everything", everything),
      ROUTE("GET", "/fail", fail_as_told), ROUTE("POST", "/kv/{op}", key_value), ROUTE("GET", "/via", get_via),
      ROUTE("POST", "/via", set_via), ROUTE("POST", "/publish", publish_it), ROUTE("POST", "/request", request_it),
      ROUTE("POST", "/call", call_it), ROUTE("POST", "/blobs/{op}", blobs), ROUTE("POST", "/sql/execute", execute),
      ROUTE("POST", "/sql/query", query), ROUTE("POST", "/fetch", fetch_it), ROUTE("GET", "/now", now),
      ROUTE("GET", "/random", random_it), ROUTE("POST", "/log", log_it), ON_SUBJECT("in.>", hear), ON_TICK(tick),
      ON("Conformance.Reverse", reverse))
