/* HTTP requests to the actor. */
#include "serve.h"

enum { STATUS_OK = 200 };

bool http_read_request(Text payload, HttpRequest *request) {
    *request = (HttpRequest){0};
    Reader reader = mp_reader(payload);
    for (uint32_t left = mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("method")))
            request->method = mp_read_text(&reader);
        else if (text_equal(field, TEXT("path")))
            request->path = mp_read_text(&reader);
        else if (text_equal(field, TEXT("queryString")))
            request->query = mp_read_text(&reader);
        else if (text_equal(field, TEXT("body")))
            request->body = mp_read_text(&reader);
        else if (text_equal(field, TEXT("header"))) {
            const uint8_t *start = reader.at;
            mp_skip(&reader);
            request->headers = (Text){(const char *)start, (uint32_t)(reader.at - start)};
        } else
            mp_skip(&reader);
    }
    if (reader.bad) fail(TEXT("malformed_message: the HTTP request cannot be read"));
    return !reader.bad;
}

/* The codes of actors' own errors that are answers. What the host refuses goes back to it as it is: it knows better
 * whether to try again, and what a visitor may read. */
static uint16_t status_of_error(void) {
    static const struct {
        Text code;
        uint16_t status;
    } known[] = {
        {TEXT_OF("invalid"), 400},  {TEXT_OF("unauthorized"), 401}, {TEXT_OF("forbidden"), 403},
        {TEXT_OF("not_found"), 404}, {TEXT_OF("conflict"), 409},     {TEXT_OF("too_large"), 413},
        {TEXT_OF("unavailable"), 503}, {TEXT_OF("timeout"), 504},
    };
    for (uint32_t i = 0; i < sizeof known / sizeof *known; i++)
        if (error_is(known[i].code)) return known[i].status;
    return 0;
}

Text http_finish(HttpReply *reply) {
    uint16_t status = failed() ? status_of_error() : 0;
    if (status) {
        Text code, why;
        text_cut(error_take(), ' ', &code, &why);
        *reply = (HttpReply){0};
        reply_error(reply, status, why);
    }
    if (failed()) return TEXT("");
    Buffer answer = {0};
    mp_map(&answer, 3);
    mp_text(&answer, TEXT("statusCode"));
    mp_int(&answer, reply->status);
    mp_text(&answer, TEXT("header"));
    mp_map(&answer, reply->header_count);
    put(&answer, buffer_text(&reply->headers));
    mp_text(&answer, TEXT("body"));
    mp_bytes(&answer, buffer_text(&reply->body));
    return buffer_text(&answer);
}

Text serve_http(const Handler *self, Text operation, Text payload) {
    (void)operation;
    HttpRequest request;
    if (!http_read_request(payload, &request)) return TEXT("");
    HttpReply reply = {.status = STATUS_OK};
    self->by.http(&request, &reply);
    return http_finish(&reply);
}

Text header_value(Text headers, Text name) {
    Reader reader = mp_reader(headers);
    for (uint32_t left = mp_read_map(&reader); left && !reader.bad; left--) {
        bool found = text_equal(mp_read_text(&reader), name);
        for (uint32_t values = mp_read_array(&reader); values; values--) {
            Text value = mp_read_text(&reader);
            if (found) return value;
        }
    }
    return TEXT("");
}

Text http_header(const HttpRequest *request, Text name) { return header_value(request->headers, name); }

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

Text percent_decoded(Text text, bool plus_is_space) {
    Buffer decoded = {0};
    for (uint32_t i = 0; i < text.size; i++) {
        int high = -1, low = -1;
        if (text.at[i] == '%' && text.size - i > 2) {
            high = hex_digit(text.at[i + 1]);
            low = hex_digit(text.at[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            put_byte(&decoded, (uint8_t)(high << 4 | low));
            i += 2;
        } else
            put_byte(&decoded, plus_is_space && text.at[i] == '+' ? ' ' : (uint8_t)text.at[i]);
    }
    return buffer_text(&decoded);
}

bool http_query(const HttpRequest *request, Text name, Text *value) {
    Text left = request->query;
    while (left.size) {
        Text pair, found, raw;
        text_cut(left, '&', &pair, &left);
        text_cut(pair, '=', &found, &raw);
        if (text_equal(percent_decoded(found, true), name)) {
            *value = percent_decoded(raw, true);
            return true;
        }
    }
    return false;
}

void reply_header(HttpReply *reply, Text name, Text value) {
    reply->header_count++;
    mp_text(&reply->headers, name);
    mp_array(&reply->headers, 1);
    mp_text(&reply->headers, value);
}

static void reply_as(HttpReply *reply, uint16_t status, Text content_type) {
    reply->status = status;
    reply_header(reply, TEXT("content-type"), content_type);
}

void reply_text(HttpReply *reply, uint16_t status, Text text) {
    reply_as(reply, status, TEXT("text/plain; charset=utf-8"));
    put(&reply->body, text);
}

void reply_html(HttpReply *reply, uint16_t status) { reply_as(reply, status, TEXT("text/html; charset=utf-8")); }

void reply_json(HttpReply *reply, uint16_t status) { reply_as(reply, status, TEXT("application/json")); }

void reply_error(HttpReply *reply, uint16_t status, Text why) {
    reply_json(reply, status);
    put(&reply->body, TEXT("{\"error\":"));
    put_json(&reply->body, why);
    put(&reply->body, TEXT("}\n"));
}

void reply_json_text(HttpReply *reply, uint16_t status, Text json) {
    reply_json(reply, status);
    put(&reply->body, json);
}
