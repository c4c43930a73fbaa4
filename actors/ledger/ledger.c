/* Keeps what it is told, under the name it is told: by PUT, or by a message whose body is the name. A drill asks
   afterwards whether everything that was acknowledged is there. */
#include "lattice.h"

static void keep(const HttpRequest *request, HttpReply *reply) {
    if (text_equal(request->method, TEXT("PUT"))) {
        kv_set(request->path, request->body, 0);
        reply_text(reply, 200, TEXT("kept\n"));
        return;
    }
    if (!text_equal(request->method, TEXT("GET"))) {
        reply_header(reply, TEXT("allow"), TEXT("GET, PUT"));
        reply_error(reply, 405, TEXT("GET reads and PUT keeps"));
        return;
    }
    bool exists;
    Text value = kv_get(request->path, &exists);
    if (!exists) {
        reply_error(reply, 404, TEXT("nothing is kept under this name"));
        return;
    }
    reply_text(reply, 200, value);
}

static void note(const Message *message) {
    kv_set(text_join(TEXT("/messages/"), message->body), message->subject, 0);
}

ACTOR(ON_HTTP(keep), ON_MESSAGE(note))
