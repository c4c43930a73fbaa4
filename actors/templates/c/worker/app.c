/* Takes texts as jobs, counts their words, keeps and publishes the results. */
#include "lattice.h"

typedef struct {
    Text id;
    int64_t words;
} Job;
static const Field job_fields[] = {FIELD(Job, id), FIELD(Job, words)};
static const Field accepted_fields[] = {FIELD(Job, id)};

static int64_t count_words(Text text) {
    int64_t words = 0;
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

static void add_job(const HttpRequest *request, HttpReply *reply) {
    Job job = {.id = http_param(request, TEXT("id"))};
    publish(text_join(TEXT("jobs."), job.id), request->body);
    reply_record(reply, 202, accepted_fields, &job);
}

static void get_job(const HttpRequest *request, HttpReply *reply) {
    bool exists;
    Job job = {.id = http_param(request, TEXT("id"))};
    Text words = kv_get(text_join(TEXT("words:"), job.id), &exists);
    if (!exists) fail_with(TEXT("not_found"), TEXT("no such job is done"));
    job.words = (int64_t)text_double(words);
    reply_record(reply, 200, job_fields, &job);
}

ACTOR(ROUTE("POST", "/jobs/{id}", add_job), ROUTE("GET", "/jobs/{id}", get_job), ON_SUBJECT("jobs.*", work))
