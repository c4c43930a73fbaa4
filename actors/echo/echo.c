/* Answers. Over HTTP with a greeting, the body or a description of the request; any other operation with its payload. */
#include "lattice.h"

static void field(Buffer *body, Text name, Text value) {
    put_json(body, name);
    put_byte(body, ':');
    put_json(body, value);
}

static void answer(const HttpRequest *request, HttpReply *reply) {
    if (request->body.size) {
        Text content_type = http_header(request, TEXT("content-type"));
        reply_header(reply, TEXT("content-type"), content_type.size ? content_type : TEXT("application/octet-stream"));
        put(&reply->body, request->body);
        return;
    }
    if (text_equal(request->path, TEXT("/"))) {
        reply_text(reply, 200, TEXT("hello\n"));
        return;
    }
    reply_json(reply, 200);
    put(&reply->body, TEXT("{"));
    field(&reply->body, TEXT("method"), request->method);
    put(&reply->body, TEXT(","));
    field(&reply->body, TEXT("path"), request->path);
    put(&reply->body, TEXT(","));
    field(&reply->body, TEXT("query"), request->query);
    put(&reply->body, TEXT("}\n"));
}

static Text same(Text operation, Text payload) {
    (void)operation;
    return payload;
}

ACTOR(ON_HTTP(answer), ON_ANY(same))
