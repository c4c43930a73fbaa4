/* Typed calls to capability providers, and messages and ticks from them. */
#include "serve.h"

/* ---- key-value ------------------------------------------------------------------------------------------------ */

static Reader kv(Text operation, const Buffer *message) {
    return mp_reader(call_provider(TEXT("wasmcloud:keyvalue"), operation, buffer_text(message)));
}

static Reader kv_key(Text operation, Text key) {
    Buffer message = {0};
    mp_text(&message, key);
    return kv(operation, &message);
}

static Reader kv_pair(Text operation, Text field, Text name, Text value) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_text(&message, field);
    mp_text(&message, name);
    mp_text(&message, TEXT("value"));
    mp_text(&message, value);
    return kv(operation, &message);
}

/* What a provider sends must fit the contract; if not, the call fails like any other that the host refuses. */
void check(const Reader *reader) {
    if (reader->bad && !failed()) fail(TEXT("malformed_message: the provider's reply cannot be read"));
}

static int64_t number_of(Reader reader) {
    int64_t number = failed() ? 0 : mp_read_int(&reader);
    check(&reader);
    return number;
}

static bool truth_of(Reader reader) {
    bool truth = failed() ? false : mp_read_bool(&reader);
    check(&reader);
    return truth;
}

static TextList texts_of(Reader reader) {
    TextList texts = {0};
    if (!failed()) texts = mp_read_texts(&reader);
    check(&reader);
    return texts;
}

Text kv_get(Text key, bool *exists) {
    Text value = {0};
    bool found = false;
    Reader reader = kv_key(TEXT("KeyValue.Get"), key);
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("value")))
            value = mp_read_text(&reader);
        else if (text_equal(field, TEXT("exists")))
            found = mp_read_bool(&reader);
        else
            mp_skip(&reader);
    }
    check(&reader);
    if (exists) *exists = found;
    return value;
}

void kv_set(Text key, Text value, uint32_t expires_s) {
    Buffer message = {0};
    mp_map(&message, 3);
    mp_text(&message, TEXT("key"));
    mp_text(&message, key);
    mp_text(&message, TEXT("value"));
    mp_text(&message, value);
    mp_text(&message, TEXT("expires"));
    mp_int(&message, expires_s);
    kv(TEXT("KeyValue.Set"), &message);
}

int32_t kv_increment(Text key, int32_t by) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_text(&message, TEXT("key"));
    mp_text(&message, key);
    mp_text(&message, TEXT("value"));
    mp_int(&message, by);
    return (int32_t)number_of(kv(TEXT("KeyValue.Increment"), &message));
}

bool kv_delete(Text key) { return truth_of(kv_key(TEXT("KeyValue.Del"), key)); }

bool kv_contains(Text key) { return truth_of(kv_key(TEXT("KeyValue.Contains"), key)); }

uint32_t kv_list_add(Text list, Text value) {
    return (uint32_t)number_of(kv_pair(TEXT("KeyValue.ListAdd"), TEXT("listName"), list, value));
}

bool kv_list_remove(Text list, Text value) {
    return truth_of(kv_pair(TEXT("KeyValue.ListDel"), TEXT("listName"), list, value));
}

TextList kv_list_range(Text list, int32_t start, int32_t stop) {
    Buffer message = {0};
    mp_map(&message, 3);
    mp_text(&message, TEXT("listName"));
    mp_text(&message, list);
    mp_text(&message, TEXT("start"));
    mp_int(&message, start);
    mp_text(&message, TEXT("stop"));
    mp_int(&message, stop);
    return texts_of(kv(TEXT("KeyValue.ListRange"), &message));
}

bool kv_list_clear(Text list) { return truth_of(kv_key(TEXT("KeyValue.ListClear"), list)); }

uint32_t kv_set_add(Text set, Text value) {
    return (uint32_t)number_of(kv_pair(TEXT("KeyValue.SetAdd"), TEXT("setName"), set, value));
}

uint32_t kv_set_remove(Text set, Text value) {
    return (uint32_t)number_of(kv_pair(TEXT("KeyValue.SetDel"), TEXT("setName"), set, value));
}

static TextList kv_sets(Text operation, TextList sets) {
    Buffer message = {0};
    mp_array(&message, sets.count);
    for (uint32_t i = 0; i < sets.count; i++) mp_text(&message, sets.at[i]);
    return texts_of(kv(operation, &message));
}

TextList kv_set_members(Text set) { return texts_of(kv_key(TEXT("KeyValue.SetQuery"), set)); }

TextList kv_set_union(TextList sets) { return kv_sets(TEXT("KeyValue.SetUnion"), sets); }

TextList kv_set_intersection(TextList sets) { return kv_sets(TEXT("KeyValue.SetIntersection"), sets); }

bool kv_set_clear(Text set) { return truth_of(kv_key(TEXT("KeyValue.SetClear"), set)); }

/* ---- messaging ------------------------------------------------------------------------------------------------ */

static Message read_message(Reader *reader) {
    Message message = {0};
    for (uint32_t left = mp_read_map(reader); left && !reader->bad; left--) {
        Text field = mp_read_text(reader);
        if (text_equal(field, TEXT("subject")))
            message.subject = mp_read_text(reader);
        else if (text_equal(field, TEXT("replyTo")))
            message.reply_to = mp_read_text(reader);
        else if (text_equal(field, TEXT("body")))
            message.body = mp_read_text(reader);
        else
            mp_skip(reader);
    }
    return message;
}

bool message_read(Text payload, Message *message) {
    Reader reader = mp_reader(payload);
    *message = read_message(&reader);
    if (reader.bad) fail(TEXT("malformed_message: the message cannot be read"));
    return !reader.bad;
}

Text serve_message(const Handler *self, Text operation, Text payload) {
    (void)operation;
    Message message;
    if (message_read(payload, &message)) self->by.message(&message);
    return TEXT("");
}

void publish_with_reply(Text subject, Text reply_to, Text body) {
    Buffer message = {0};
    mp_map(&message, reply_to.size ? 3 : 2);
    mp_text(&message, TEXT("subject"));
    mp_text(&message, subject);
    if (reply_to.size) {
        mp_text(&message, TEXT("replyTo"));
        mp_text(&message, reply_to);
    }
    mp_text(&message, TEXT("body"));
    mp_bytes(&message, body);
    call_provider(TEXT("wasmcloud:messaging"), TEXT("Messaging.Publish"), buffer_text(&message));
}

void publish(Text subject, Text body) { publish_with_reply(subject, TEXT(""), body); }

Message request(Text subject, Text body, uint32_t timeout_ms) {
    Buffer message = {0};
    mp_map(&message, 3);
    mp_text(&message, TEXT("subject"));
    mp_text(&message, subject);
    mp_text(&message, TEXT("body"));
    mp_bytes(&message, body);
    mp_text(&message, TEXT("timeoutMs"));
    mp_int(&message, timeout_ms);
    Reader reader =
        mp_reader(call_provider(TEXT("wasmcloud:messaging"), TEXT("Messaging.Request"), buffer_text(&message)));
    Message reply = {0};
    if (!failed()) reply = read_message(&reader);
    check(&reader);
    return reply;
}

/* ---- timers, log, numbers, clock -------------------------------------------------------------------------------- */

bool tick_read(Text payload, Tick *tick) {
    *tick = (Tick){0};
    Reader reader = mp_reader(payload);
    for (uint32_t left = mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("timer")))
            tick->timer = mp_read_text(&reader);
        else if (text_equal(field, TEXT("scheduledMs")))
            tick->scheduled_ms = mp_read_int(&reader);
        else if (text_equal(field, TEXT("nowMs")))
            tick->now_ms = mp_read_int(&reader);
        else if (text_equal(field, TEXT("missed")))
            tick->missed = (uint32_t)mp_read_int(&reader);
        else
            mp_skip(&reader);
    }
    if (reader.bad) fail(TEXT("malformed_message: the tick cannot be read"));
    return !reader.bad;
}

Text serve_tick(const Handler *self, Text operation, Text payload) {
    (void)operation;
    Tick tick;
    if (tick_read(payload, &tick)) self->by.tick(&tick);
    return TEXT("");
}

void log_at(Text level, Text text) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_text(&message, TEXT("level"));
    mp_text(&message, level);
    mp_text(&message, TEXT("text"));
    mp_text(&message, text);
    call_provider(TEXT("wasmcloud:builtin:logging"), TEXT("Logging.WriteLog"), buffer_text(&message));
}

void log_debug(Text text) { log_at(TEXT("debug"), text); }

void log_info(Text text) { log_at(TEXT("info"), text); }

void log_warn(Text text) { log_at(TEXT("warn"), text); }

void log_error(Text text) { log_at(TEXT("error"), text); }

static Reader numbers(Text operation, const Buffer *message) {
    return mp_reader(call_provider(TEXT("wasmcloud:builtin:numbergen"), operation, buffer_text(message)));
}

uint32_t random_32(void) { return (uint32_t)number_of(numbers(TEXT("NumberGen.Random32"), &(Buffer){0})); }

uint32_t random_in_range(uint32_t min, uint32_t max) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_text(&message, TEXT("min"));
    mp_int(&message, min);
    mp_text(&message, TEXT("max"));
    mp_int(&message, max);
    return (uint32_t)number_of(numbers(TEXT("NumberGen.RandomInRange"), &message));
}

Text random_guid(void) {
    Reader reader = numbers(TEXT("NumberGen.GenerateGuid"), &(Buffer){0});
    Text guid = {0};
    if (!failed()) guid = mp_read_text(&reader);
    check(&reader);
    return guid;
}

__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get"))) uint32_t
clock_time_get(uint32_t clock, uint64_t precision_ns, uint64_t *time_ns);

int64_t now_ms(void) {
    enum { REALTIME = 0, NS_PER_MS = 1000000 };
    uint64_t time_ns = 0;
    if (clock_time_get(REALTIME, NS_PER_MS, &time_ns)) fail(TEXT("the host has no clock"));
    return (int64_t)(time_ns / NS_PER_MS);
}
