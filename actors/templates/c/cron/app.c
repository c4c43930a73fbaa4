/* Counts the ticks of a timer, and says how many there were. */
#include "lattice.h"

static void tick(const Tick *tick) {
    kv_increment(TEXT("ticks"), 1);
    kv_set(TEXT("last"), text_number(tick->scheduled_ms), 0);
}

static Text number_under(Text key) {
    bool exists;
    Text value = kv_get(key, &exists);
    return exists ? value : TEXT("0");
}

static void answer(const HttpRequest *request, HttpReply *reply) {
    (void)request;
    reply_json(reply, 200);
    put(&reply->body, TEXT("{\"ticks\":"));
    put(&reply->body, number_under(TEXT("ticks")));
    put(&reply->body, TEXT(",\"last\":"));
    put(&reply->body, number_under(TEXT("last")));
    put(&reply->body, TEXT("}"));
}

ACTOR(ROUTE("GET", "/", answer), ON_TICK(tick))
