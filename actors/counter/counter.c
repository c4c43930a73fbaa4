/* Counts the requests to each path. */
#include "lattice.h"

static void count(const HttpRequest *request, HttpReply *reply) {
    if (!text_equal(request->method, TEXT("GET"))) {
        reply_header(reply, TEXT("allow"), TEXT("GET"));
        reply_error(reply, 405, TEXT("only GET counts"));
        return;
    }
    reply_json(reply, 200);
    put(&reply->body, TEXT("{\"counter\":"));
    put_number(&reply->body, kv_increment(request->path, 1));
    put(&reply->body, TEXT("}\n"));
}

ACTOR(ON_HTTP(count))
