/* Takes texts as jobs, counts their words, keeps and publishes the results. */
#include "lattice.h"

static uint32_t count_words(Text text) {
    uint32_t words = 0;
    bool inside = false;
    for (uint32_t i = 0; i < text.size; i++) {
        bool letter = (uint8_t)text.at[i] > ' ';
        words += letter && !inside;
        inside = letter;
    }
    return words;
}

static void work(const Message *message) {
    Text id = text_from(message->subject, sizeof "jobs." - 1);
    Text words = text_number(count_words(message->body));
    kv_set(text_join(TEXT("words:"), id), words, 0);
    blob_create_container(TEXT("results"));
    blob_put(TEXT("results"), id, TEXT("text/plain"), text_join(words, TEXT(" words")));
    publish(text_join(TEXT("done."), id), words);
}

static void put_id(HttpReply *reply, Text id) {
    put(&reply->body, TEXT("{\"id\":"));
    put_json(&reply->body, id);
}

static void serve(const HttpRequest *request, HttpReply *reply) {
    Text start = TEXT("/jobs/");
    Text id = text_from(request->path, start.size);
    if (!text_starts(request->path, start) || id.size == 0) {
        reply_error(reply, 404, TEXT("jobs are at /jobs/ID"));
    } else if (text_equal(request->method, TEXT("POST"))) {
        publish(text_join(TEXT("jobs."), id), request->body);
        reply_json(reply, 202);
        put_id(reply, id);
        put(&reply->body, TEXT("}"));
    } else {
        bool exists;
        Text words = kv_get(text_join(TEXT("words:"), id), &exists);
        if (!exists) {
            reply_error(reply, 404, TEXT("no such job is done"));
            return;
        }
        reply_json(reply, 200);
        put_id(reply, id);
        put(&reply->body, TEXT(",\"words\":"));
        put(&reply->body, words);
        put(&reply->body, TEXT("}"));
    }
}

ACTOR(ON_HTTP(serve), ON_MESSAGE(work))
