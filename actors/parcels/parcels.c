/* Says what a parcel costs, as the component postage does when it is asked. It is called by the names of WIT, with its
 * values as MessagePack. */
#include "lattice.h"
#include "msgpack.h"
#include "wish.h"

static void put_wish(Buffer *message, const Wish *wish) {
    static const Text names[] = {TEXT_OF("signed"), TEXT_OF("fragile"), TEXT_OF("express")};
    mp_array(message, 1); /* the arguments */
    mp_map(message, wish->insured ? 4 : 3);
    mp_text(message, TEXT("to"));
    mp_text(message, (Text){wish->to, 2});
    mp_text(message, TEXT("grams"));
    mp_int(message, wish->grams);
    mp_text(message, TEXT("services"));
    mp_array(message, (wish->services & 1) + (wish->services >> 1 & 1) + (wish->services >> 2 & 1));
    for (uint32_t i = 0; i < 3; i++)
        if (wish->services >> i & 1) mp_text(message, names[i]);
    if (wish->insured) {
        mp_text(message, TEXT("insured"));
        mp_int(message, wish->worth);
    }
}

static void put_quote(Buffer *body, Reader *reader) {
    int64_t cents = 0, first = 0, last = 0;
    Text zone = TEXT("");
    for (uint32_t pairs = mp_read_map(reader); pairs && !reader->bad; pairs--) {
        Text name = mp_read_text(reader);
        if (text_equal(name, TEXT("cents"))) cents = mp_read_int(reader);
        else if (text_equal(name, TEXT("zone"))) zone = mp_read_text(reader);
        else if (text_equal(name, TEXT("days")) && mp_read_array(reader) == 2) {
            first = mp_read_int(reader);
            last = mp_read_int(reader);
        } else mp_skip(reader);
    }
    put(body, TEXT("{\"cents\":"));
    put_number(body, cents);
    put(body, TEXT(",\"zone\":"));
    put_json(body, zone);
    put(body, TEXT(",\"days\":["));
    put_number(body, first);
    put(body, TEXT(","));
    put_number(body, last);
    put(body, TEXT("]}\n"));
}

static void put_refusal(Buffer *body, Reader *reader) {
    bool heavy = mp_read_map(reader) == 1 && text_equal(mp_read_text(reader), TEXT("too-heavy"));
    if (heavy) {
        put(body, TEXT("{\"error\":\"too heavy, at most "));
        put_number(body, mp_read_int(reader));
        put(body, TEXT(" g\"}\n"));
    } else {
        put(body, TEXT("{\"error\":\"no post goes to "));
        put(body, mp_read_text(reader));
        put(body, TEXT("\"}\n"));
    }
}

static void ask(const HttpRequest *request, HttpReply *reply) {
    Wish wish = {0};
    if (!wish_read(request->path.at, request->path.size, &wish)) {
        reply_error(reply, 404, TEXT(WISH_USAGE));
        return;
    }
    Buffer message = {0};
    put_wish(&message, &wish);
    Text answer = call_provider(TEXT("lattice:parcels/postage"), TEXT("price"), buffer_text(&message));
    if (failed()) return;
    Reader reader = mp_reader(answer);
    bool priced = mp_read_map(&reader) == 1 && text_equal(mp_read_text(&reader), TEXT("ok"));
    reply_json(reply, priced ? 200 : 422);
    if (priced) put_quote(&reply->body, &reader);
    else put_refusal(&reply->body, &reader);
    if (reader.bad) fail(TEXT("postage answered what is no quote"));
}

ACTOR(ON_HTTP(ask))
