/* Counts the requests to each path. */
#include "lattice.h"

static void count(const HttpRequest *request, HttpReply *reply) {
    if (!text_equal(request->method, TEXT("GET"))) {
        reply_error(reply, 405, TEXT("only GET counts"));
        return;
    }
    int32_t number = kv_increment(text_join(TEXT("count:"), request->path), 1);
    reply_json(reply, 200);
    put(&reply->body, TEXT("{\"count\":"));
    put_number(&reply->body, number);
    put(&reply->body, TEXT("}"));
}

ACTOR(ON_HTTP(count))
