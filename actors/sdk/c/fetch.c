/* wasmcloud:httpclient: requests that the actor makes. */
#include "serve.h"

HttpAnswer fetch(const HttpCall *call) {
    Buffer message = {0};
    mp_map(&message, 4);
    mp_field(&message, TEXT("method"), call->method.size ? call->method : TEXT("GET"));
    mp_field(&message, TEXT("url"), call->url);
    mp_text(&message, TEXT("headers"));
    mp_map(&message, call->header_count);
    for (uint32_t i = 0; i < call->header_count; i++) {
        mp_text(&message, call->headers[i].name);
        mp_array(&message, 1);
        mp_text(&message, call->headers[i].value);
    }
    mp_text(&message, TEXT("body"));
    mp_bytes(&message, call->body);
    Reader reader =
        mp_reader(call_provider(TEXT("wasmcloud:httpclient"), TEXT("HttpClient.Request"), buffer_text(&message)));
    HttpAnswer answer = {0};
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("statusCode")))
            answer.status = (uint16_t)mp_read_int(&reader);
        else if (text_equal(field, TEXT("body")))
            answer.body = mp_read_text(&reader);
        else if (text_equal(field, TEXT("header"))) {
            const uint8_t *start = reader.at;
            mp_skip(&reader);
            answer.headers = (Text){(const char *)start, (uint32_t)(reader.at - start)};
        } else
            mp_skip(&reader);
    }
    check(&reader);
    return answer;
}

HttpAnswer fetch_url(Text url) { return fetch(&(HttpCall){.url = url}); }

Text answer_header(const HttpAnswer *answer, Text name) { return header_value(answer->headers, name); }
