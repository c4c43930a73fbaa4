/* Uses every function of the SDK for C and says what came back; probe_as does the same in AssemblyScript. */
#include "msgpack.h"

static Buffer *out; /* the body of the answer that is being written */

static void say(Text name, Text value) {
    put(out, name);
    put(out, TEXT("="));
    put(out, value);
    put(out, TEXT("\n"));
}

static void say_number(Text name, int64_t value) { say(name, text_number(value)); }

static void say_truth(Text name, bool value) { say(name, value ? TEXT("true") : TEXT("false")); }

/* In byte order: sets come in any order. */
static void say_list(Text name, TextList list) {
    Text *sorted = take(list.count * sizeof *sorted);
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t at = i;
        for (; at && (uint8_t)sorted[at - 1].at[0] > (uint8_t)list.at[i].at[0]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = list.at[i];
    }
    Text joined = TEXT("");
    for (uint32_t i = 0; i < list.count; i++) joined = text_join(joined, text_join(sorted[i], TEXT(" ")));
    say(name, joined);
}

static void key_value(void) {
    bool exists = false;
    kv_set(TEXT("k"), TEXT("value \xc3\xa9"), 0);
    say(TEXT("get"), kv_get(TEXT("k"), &exists));
    say_truth(TEXT("exists"), exists);
    kv_get(TEXT("missing"), &exists);
    say_truth(TEXT("missing"), exists);
    say_truth(TEXT("contains"), kv_contains(TEXT("k")));
    say_truth(TEXT("delete"), kv_delete(TEXT("k")));
    say_truth(TEXT("delete again"), kv_delete(TEXT("k")));
    say_number(TEXT("increment"), kv_increment(TEXT("n"), 70000));
    say_number(TEXT("decrement"), kv_increment(TEXT("n"), -140000));
    kv_delete(TEXT("n"));
    say_number(TEXT("list add"), kv_list_add(TEXT("l"), TEXT("a")));
    say_number(TEXT("list add"), kv_list_add(TEXT("l"), TEXT("b")));
    say_list(TEXT("list range"), kv_list_range(TEXT("l"), 0, -1));
    say_truth(TEXT("list remove"), kv_list_remove(TEXT("l"), TEXT("a")));
    say_truth(TEXT("list clear"), kv_list_clear(TEXT("l")));
    say_number(TEXT("set add"), kv_set_add(TEXT("s"), TEXT("x")));
    say_number(TEXT("set add"), kv_set_add(TEXT("s"), TEXT("y")));
    kv_set_add(TEXT("t"), TEXT("y"));
    kv_set_add(TEXT("t"), TEXT("z"));
    say_list(TEXT("set members"), kv_set_members(TEXT("s")));
    TextList both = {(Text[]){TEXT("s"), TEXT("t")}, 2};
    say_list(TEXT("set union"), kv_set_union(both));
    say_list(TEXT("set intersection"), kv_set_intersection(both));
    say_number(TEXT("set remove"), kv_set_remove(TEXT("s"), TEXT("x")));
    say_truth(TEXT("set clear"), kv_set_clear(TEXT("s")));
    kv_set_clear(TEXT("t"));
}

static void messages(Text prefix) {
    publish(text_join(prefix, TEXT(".told")), TEXT("told"));
    Message reply = request(text_join(prefix, TEXT(".asked")), TEXT("question"), 2000);
    say(TEXT("reply"), reply.body);
}

static void hear(const Message *message) {
    if (message->reply_to.size)
        publish(message->reply_to, text_join(TEXT("answer to "), message->body));
    else
        kv_set(TEXT("heard"), message->body, 0);
}

static void tick(const Tick *tick) {
    kv_set(TEXT("timer"), tick->timer, 0);
    kv_set(TEXT("tick is late by"), text_number((tick->now_ms - tick->scheduled_ms) / 60000), 0);
    kv_increment(TEXT("ticks"), 1);
}

static void blobs(uint32_t size) {
    char *bytes = take(size);
    for (uint32_t i = 0; i < size; i++) bytes[i] = (char)('a' + i % 23);
    blob_create_container(TEXT("probe"));
    blob_create_container(TEXT("probe"));
    blob_put(TEXT("probe"), TEXT("one"), TEXT("text/x-probe"), (Text){bytes, size});
    Blob blob = blob_get(TEXT("probe"), TEXT("one"));
    say_truth(TEXT("found"), blob.found);
    say(TEXT("content type"), blob.content_type);
    say_number(TEXT("size"), blob.bytes.size);
    say_truth(TEXT("same"), text_equal(blob.bytes, (Text){bytes, size}));
    blob_delete(TEXT("probe"), TEXT("one"));
    say_truth(TEXT("found after delete"), blob_get(TEXT("probe"), TEXT("one")).found);
}

static void built_ins(void) {
    log_debug(TEXT("a debug line"));
    log_info(TEXT("an info line"));
    log_warn(TEXT("a warning"));
    log_error(TEXT("an error"));
    say_truth(TEXT("random numbers differ"), random_32() != random_32() || random_32() != random_32());
    uint32_t number = random_in_range(4000000000, 4000000001);
    say_truth(TEXT("in range"), number == 4000000000 || number == 4000000001);
    say_number(TEXT("guid size"), random_guid().size);
    say_truth(TEXT("clock"), now_ms() > 1700000000000);
}

static void failures(void) {
    use_link(TEXT("nowhere"));
    kv_increment(TEXT("n"), 1);
    say_truth(TEXT("failed"), failed());
    say_truth(TEXT("is not_linked"), error_is(TEXT("not_linked")));
    say_truth(TEXT("is not"), error_is(TEXT("not")));
    use_link(TEXT("default"));
    kv_increment(TEXT("n"), 1); /* is not made: the error sticks */
    say_truth(TEXT("error starts"), text_starts(error_take(), TEXT("not_linked: ")));
    say_truth(TEXT("failed after take"), failed());
    say_truth(TEXT("was incremented"), kv_contains(TEXT("n")));
    call_actor(TEXT("nobody"), TEXT("Op"), TEXT(""));
    say_truth(TEXT("is target_unknown"), error_is(TEXT("target_unknown")));
    error_take();
}

static void describe(const HttpRequest *request) {
    Text value;
    say(TEXT("method"), request->method);
    say(TEXT("path"), request->path);
    say(TEXT("query"), request->query);
    say(TEXT("q"), http_query(request, TEXT("q"), &value) ? value : TEXT("(none)"));
    say(TEXT("x-probe"), http_header(request, TEXT("x-probe")));
    say(TEXT("body"), request->body);
}

/* The member of the JSON object in the body that the query names, as a JSON string. */
static void json(const HttpRequest *request) {
    Text field = TEXT(""), value;
    http_query(request, TEXT("field"), &field);
    if (json_text(request->body, field, &value))
        put_json(out, value);
    else
        put(out, TEXT("none"));
}

static Text skip(Text operation, Text payload) {
    (void)operation;
    Reader reader = mp_reader(payload);
    mp_skip(&reader);
    return reader.bad || reader.at != reader.end ? TEXT("bad") : TEXT("one value");
}

static void handle(const HttpRequest *request, HttpReply *reply) {
    out = &reply->body;
    Text path = request->path;
    reply_text(reply, 200, TEXT(""));
    if (text_equal(path, TEXT("/keyvalue")))
        key_value();
    else if (text_equal(path, TEXT("/messages")))
        messages(request->query);
    else if (text_equal(path, TEXT("/heard"))) {
        say(TEXT("heard"), kv_get(TEXT("heard"), NULL));
        say(TEXT("timer"), kv_get(TEXT("timer"), NULL));
        say(TEXT("late by"), kv_get(TEXT("tick is late by"), NULL));
    } else if (text_equal(path, TEXT("/blobs")))
        blobs(request->query.size ? 262144 * (uint32_t)(request->query.at[0] - '0') + request->query.size - 1 : 0);
    else if (text_equal(path, TEXT("/builtins")))
        built_ins();
    else if (text_equal(path, TEXT("/failures")))
        failures();
    else if (text_equal(path, TEXT("/json")))
        json(request);
    else if (text_equal(path, TEXT("/html")))
        put_html(out, request->body);
    else if (text_equal(path, TEXT("/fail")))
        kv_get(TEXT("k"), (use_link(TEXT("nowhere")), NULL));
    else
        describe(request);
}

ACTOR(ON_HTTP(handle), ON_MESSAGE(hear), ON_TICK(tick), ON("Probe.Skip", skip))
