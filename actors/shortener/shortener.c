/* Short links: makes them, shows them, follows them, and publishes every click.
 *
 * Keys (shared with clicks and report): "claim:CODE" counts the attempts to take a code, so that one of them is the
 * first; "url:CODE" is the link; "created:CODE" its time; "clicks:CODE" is counted by clicks.
 */
#include "lattice.h"
#include "page.h"

enum {
    CODE_MIN = 3,
    CODE_MAX = 32,
    CODE_NEW = 7,     /* 62^7 codes: a guess hits one in a billion while there are some thousand links */
    ATTEMPTS_MAX = 5, /* for a free random code: five misses in a row mean that something else is wrong */
    URL_MAX = 2000,   /* what browsers and proxies agree on */
};

static Text key(Text kind, Text code) { return text_join(kind, code); }

static bool code_is_valid(Text code) {
    if (code.size < CODE_MIN || code.size > CODE_MAX) return false;
    for (uint32_t i = 0; i < code.size; i++) {
        char c = code.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return !text_equal(code, TEXT("links")) && !text_equal(code, TEXT("report"));
}

static bool url_is_valid(Text url) {
    Text rest = text_starts(url, TEXT("https://")) ? text_from(url, 8) : text_from(url, 7);
    if (!text_starts(url, TEXT("https://")) && !text_starts(url, TEXT("http://"))) return false;
    if (url.size > URL_MAX || !rest.size || rest.at[0] == '/' || rest.at[0] == '?' || rest.at[0] == '#') return false;
    for (uint32_t i = 0; i < url.size; i++)
        if (url.at[i] <= ' ' || (uint8_t)url.at[i] >= 0x7f || url.at[i] == '"' || url.at[i] == '<' || url.at[i] == '>')
            return false;
    return true;
}

/* True for exactly one caller for each code, however many ask at once. */
static bool claim(Text code) { return kv_increment(key(TEXT("claim:"), code), 1) == 1; }

static Text new_code(void) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int attempt = 0; attempt < ATTEMPTS_MAX && !failed(); attempt++) {
        uint64_t random = (uint64_t)random_32() << 32 | random_32();
        char *code = take(CODE_NEW);
        for (int i = 0; i < CODE_NEW; i++, random /= 62) code[i] = letters[random % 62];
        if (claim((Text){code, CODE_NEW})) return (Text){code, CODE_NEW};
    }
    fail(TEXT("no free code was found; try again"));
    return TEXT("");
}

static void put_member(Buffer *body, Text name, Text value) {
    put_byte(body, body->size ? ',' : '{');
    put_json(body, name);
    put_byte(body, ':');
    put_json(body, value);
}

static void create(const HttpRequest *request, HttpReply *reply) {
    Text url, code = TEXT("");
    if (!json_text(request->body, TEXT("url"), &url)) {
        reply_error(reply, 400, TEXT("send a JSON object with a text \"url\", and a text \"code\" if you have a wish"));
        return;
    }
    if (!url_is_valid(url)) {
        reply_error(reply, 400, TEXT("the url must start with http:// or https://, name a host, be at most 2000 "
                                     "characters, and be percent-encoded"));
        return;
    }
    bool wished = json_text(request->body, TEXT("code"), &code);
    if (wished && !code_is_valid(code)) {
        reply_error(reply, 400, TEXT("a code has 3 to 32 letters, digits, - or _, and is not \"links\" or \"report\""));
        return;
    }
    if (wished && !claim(code)) {
        reply_error(reply, 409, TEXT("this code is taken"));
        return;
    }
    if (!wished) code = new_code();
    kv_set(key(TEXT("created:"), code), text_number(now_ms()), 0);
    kv_set(key(TEXT("url:"), code), url, 0);
    Text place = text_join(TEXT("/"), code);
    reply_json(reply, 201);
    reply_header(reply, TEXT("location"), text_join(TEXT("/links"), place));
    put_member(&reply->body, TEXT("code"), code);
    put_member(&reply->body, TEXT("url"), url);
    put_member(&reply->body, TEXT("short"),
               text_join(text_join(TEXT("http://"), http_header(request, TEXT("host"))), place));
    put(&reply->body, TEXT("}\n"));
}

static void show(Text code, HttpReply *reply) {
    bool exists = false;
    Text url = kv_get(key(TEXT("url:"), code), &exists);
    if (!exists) {
        reply_error(reply, 404, TEXT("there is no such link"));
        return;
    }
    Text created = kv_get(key(TEXT("created:"), code), NULL);
    Text clicks = kv_get(key(TEXT("clicks:"), code), &exists);
    reply_json(reply, 200);
    put_member(&reply->body, TEXT("code"), code);
    put_member(&reply->body, TEXT("url"), url);
    put(&reply->body, TEXT(",\"createdMs\":"));
    put(&reply->body, created.size ? created : TEXT("null"));
    put(&reply->body, TEXT(",\"clicks\":"));
    put(&reply->body, exists ? clicks : TEXT("0"));
    put(&reply->body, TEXT("}\n"));
}

/* The claim stays: a code that was given away once never leads anywhere else. */
static void forget(Text code, HttpReply *reply) {
    if (!kv_delete(key(TEXT("url:"), code))) {
        reply_error(reply, 404, TEXT("there is no such link"));
        return;
    }
    reply->status = 204;
}

static void follow(Text code, HttpReply *reply) {
    bool exists = false;
    Text url = kv_get(key(TEXT("url:"), code), &exists);
    if (!exists) {
        reply_html(reply, 404);
        put(&reply->body, TEXT(PAGE_HEAD "<h1>No such link</h1><p><a href=\"/\">Make one</a></p>" PAGE_FOOT));
        return;
    }
    Buffer click = {0};
    put_member(&click, TEXT("code"), code);
    put(&click, TEXT(",\"atMs\":"));
    put_number(&click, now_ms());
    put(&click, TEXT("}"));
    if (failed()) return;
    publish(TEXT("links.clicked"), buffer_text(&click));
    /* A lost count is worth a line in the log; a visitor who is not sent on is worse. */
    if (failed()) log_warn(text_join(TEXT("a click was not counted: "), error_take()));
    if (failed()) error_take();
    reply->status = 302;
    reply_header(reply, TEXT("location"), url);
    reply_header(reply, TEXT("cache-control"), TEXT("no-store"));
}

static void refuse(HttpReply *reply, Text allowed) {
    reply_header(reply, TEXT("allow"), allowed);
    reply_error(reply, 405, TEXT("this method is not answered here"));
}

static void handle(const HttpRequest *request, HttpReply *reply) {
    bool get = text_equal(request->method, TEXT("GET"));
    if (text_equal(request->path, TEXT("/links"))) {
        if (text_equal(request->method, TEXT("POST")))
            create(request, reply);
        else
            refuse(reply, TEXT("POST"));
    } else if (text_starts(request->path, TEXT("/links/"))) {
        Text code = text_from(request->path, 7);
        if (get)
            show(code, reply);
        else if (text_equal(request->method, TEXT("DELETE")))
            forget(code, reply);
        else
            refuse(reply, TEXT("GET, DELETE"));
    } else if (!get) {
        refuse(reply, TEXT("GET"));
    } else if (text_equal(request->path, TEXT("/"))) {
        reply_html(reply, 200);
        put(&reply->body, TEXT(PAGE_HEAD PAGE_HOME PAGE_FOOT));
    } else {
        follow(text_from(request->path, 1), reply);
    }
}

ACTOR(ON_HTTP(handle))
