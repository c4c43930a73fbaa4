/* HTTP requests to the actor. */
#include "msgpack.h"

enum { STATUS_OK = 200 };

Text serve_http(const Handler *self, Text operation, Text payload) {
    (void)operation;
    HttpRequest request = {0};
    Reader reader = mp_reader(payload);
    for (uint32_t left = mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("method")))
            request.method = mp_read_text(&reader);
        else if (text_equal(field, TEXT("path")))
            request.path = mp_read_text(&reader);
        else if (text_equal(field, TEXT("queryString")))
            request.query = mp_read_text(&reader);
        else if (text_equal(field, TEXT("body")))
            request.body = mp_read_text(&reader);
        else if (text_equal(field, TEXT("header"))) {
            const uint8_t *start = reader.at;
            mp_skip(&reader);
            request.headers = (Text){(const char *)start, (uint32_t)(reader.at - start)};
        } else
            mp_skip(&reader);
    }
    if (reader.bad) {
        fail(TEXT("malformed_message: the HTTP request cannot be read"));
        return TEXT("");
    }
    HttpReply reply = {.status = STATUS_OK};
    self->by.http(&request, &reply);
    if (failed()) return TEXT("");

    Buffer answer = {0};
    mp_map(&answer, 3);
    mp_text(&answer, TEXT("statusCode"));
    mp_int(&answer, reply.status);
    mp_text(&answer, TEXT("header"));
    mp_map(&answer, reply.header_count);
    put(&answer, buffer_text(&reply.headers));
    mp_text(&answer, TEXT("body"));
    mp_bytes(&answer, buffer_text(&reply.body));
    return buffer_text(&answer);
}

Text http_header(const HttpRequest *request, Text name) {
    Reader reader = mp_reader(request->headers);
    for (uint32_t left = mp_read_map(&reader); left && !reader.bad; left--) {
        bool found = text_equal(mp_read_text(&reader), name);
        for (uint32_t values = mp_read_array(&reader); values; values--) {
            Text value = mp_read_text(&reader);
            if (found) return value;
        }
    }
    return TEXT("");
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static Text percent_decoded(Text text) {
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
            put_byte(&decoded, text.at[i] == '+' ? ' ' : (uint8_t)text.at[i]);
    }
    return buffer_text(&decoded);
}

bool http_query(const HttpRequest *request, Text name, Text *value) {
    Text left = request->query;
    while (left.size) {
        Text pair, found, raw;
        text_cut(left, '&', &pair, &left);
        text_cut(pair, '=', &found, &raw);
        if (text_equal(percent_decoded(found), name)) {
            *value = percent_decoded(raw);
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
