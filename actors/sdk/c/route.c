/* Which handler a request, a message or a tick is for. */
#include "serve.h"

/* The next handler of the same kind, `self` included. */
static const Handler *same_kind(const Handler *self, Text (*serve)(const Handler *, Text, Text)) {
    const Handler *end = actor_handlers + actor_handler_count;
    while (self < end && self->serve != serve) self++;
    return self < end ? self : NULL;
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------- */

/* Goes through pattern and path side by side. With a `name`, stops at that parameter and gives its value. */
static bool path_fits(Text pattern, Text path, Text name, Text *value) {
    Text piece, given;
    do {
        bool more = text_cut(pattern, '/', &piece, &pattern);
        if (text_cut(path, '/', &given, &path) != more) return false;
        bool parameter = piece.size > 2 && piece.at[0] == '{';
        given = percent_decoded(given, false);
        if (parameter ? !given.size : !text_equal(piece, given)) return false;
        if (parameter && name.size && text_equal((Text){piece.at + 1, piece.size - 2}, name)) {
            *value = given;
            return true;
        }
        if (!more) return !name.size;
    } while (true);
}

Text http_param(const HttpRequest *request, Text name) {
    Text value = {0};
    if (!path_fits(request->pattern, request->path, name, &value))
        fail(text_join(TEXT("the route has no parameter "), name));
    return value;
}

static void no_route(Text allowed, HttpReply *reply) {
    if (!allowed.size) {
        reply_error(reply, 404, TEXT("there is nothing here"));
        return;
    }
    reply_header(reply, TEXT("allow"), allowed);
    reply_error(reply, 405, TEXT("this method is not answered here"));
}

/* The first route that fits, else the handler of ON_HTTP, else an answer that says so. */
Text serve_route(const Handler *self, Text operation, Text payload) {
    (void)operation;
    HttpRequest request;
    if (!http_read_request(payload, &request)) return TEXT("");
    Buffer allowed = {0};
    HttpReply reply = {.status = 200};
    if (!text_is_utf8(percent_decoded(request.path, false))) {
        reply_error(&reply, 400, TEXT("the path is not UTF-8"));
        return http_finish(&reply);
    }
    const Handler *route = same_kind(self, serve_route), *fallback = same_kind(self, serve_http);
    for (; route; route = same_kind(route + 1, serve_route)) {
        if (!path_fits(route->pattern, request.path, TEXT(""), NULL)) continue;
        if (text_equal(route->method, request.method)) break;
        if (allowed.size) put(&allowed, TEXT(", "));
        put(&allowed, route->method);
    }
    request.pattern = route ? route->pattern : TEXT("");
    if (route)
        route->by.http(&request, &reply);
    else if (fallback && !allowed.size)
        fallback->by.http(&request, &reply);
    else
        no_route(buffer_text(&allowed), &reply);
    return http_finish(&reply);
}

/* ---- messages and ticks ----------------------------------------------------------------------------------------- */

/* `*` is one word, a final `>` is one or more. */
static bool subject_fits(Text pattern, Text subject) {
    Text piece, word;
    do {
        bool more = text_cut(pattern, '.', &piece, &pattern);
        if (text_equal(piece, TEXT(">")) && !more) return subject.size > 0;
        bool further = text_cut(subject, '.', &word, &subject);
        if (!text_equal(piece, TEXT("*")) && !text_equal(piece, word)) return false;
        if (more != further) return false;
        if (!more) return true;
    } while (true);
}

Text serve_subject(const Handler *self, Text operation, Text payload) {
    (void)operation;
    Message message;
    if (!message_read(payload, &message)) return TEXT("");
    const Handler *handler = same_kind(self, serve_subject);
    while (handler && !subject_fits(handler->pattern, message.subject)) handler = same_kind(handler + 1, serve_subject);
    if (!handler) handler = same_kind(self, serve_message);
    if (handler)
        handler->by.message(&message);
    else
        fail(text_join(TEXT("this actor has no handler for the subject "), message.subject));
    return TEXT("");
}

Text serve_timer(const Handler *self, Text operation, Text payload) {
    (void)operation;
    Tick tick;
    if (!tick_read(payload, &tick)) return TEXT("");
    const Handler *handler = same_kind(self, serve_timer);
    while (handler && !text_equal(handler->pattern, tick.timer)) handler = same_kind(handler + 1, serve_timer);
    if (!handler) handler = same_kind(self, serve_tick);
    if (handler)
        handler->by.tick(&tick);
    else
        fail(text_join(TEXT("this actor has no handler for the timer "), tick.timer));
    return TEXT("");
}
