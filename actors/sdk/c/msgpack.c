/* MessagePack, https://github.com/msgpack/msgpack/blob/master/spec.md */
#include "serve.h"

static void put_big_endian(Buffer *buffer, uint8_t kind, uint64_t value, int bytes) {
    put_byte(buffer, kind);
    while (bytes--) put_byte(buffer, (uint8_t)(value >> (8 * bytes)));
}

static void put_length(Buffer *buffer, uint32_t length, uint8_t kind16) {
    if (length <= 0xffff)
        put_big_endian(buffer, kind16, length, 2);
    else
        put_big_endian(buffer, kind16 + 1, length, 4); /* the 32-bit kind follows the 16-bit kind everywhere */
}

void mp_map(Buffer *buffer, uint32_t pairs) {
    if (pairs < 16)
        put_byte(buffer, (uint8_t)(0x80 | pairs));
    else
        put_length(buffer, pairs, 0xde);
}

void mp_array(Buffer *buffer, uint32_t items) {
    if (items < 16)
        put_byte(buffer, (uint8_t)(0x90 | items));
    else
        put_length(buffer, items, 0xdc);
}

void mp_text(Buffer *buffer, Text text) {
    if (text.size < 32)
        put_byte(buffer, (uint8_t)(0xa0 | text.size));
    else if (text.size < 256)
        put_big_endian(buffer, 0xd9, text.size, 1);
    else
        put_length(buffer, text.size, 0xda);
    put(buffer, text);
}

void mp_bytes(Buffer *buffer, Text bytes) {
    if (bytes.size < 256)
        put_big_endian(buffer, 0xc4, bytes.size, 1);
    else
        put_length(buffer, bytes.size, 0xc5);
    put(buffer, bytes);
}

void mp_field(Buffer *message, Text name, Text value) {
    mp_text(message, name);
    mp_text(message, value);
}

void mp_int(Buffer *buffer, int64_t number) {
    if (number >= -32 && number < 128)
        put_byte(buffer, (uint8_t)number);
    else if (number >= INT16_MIN && number <= INT16_MAX)
        put_big_endian(buffer, 0xd1, (uint64_t)number, 2);
    else if (number >= INT32_MIN && number <= INT32_MAX)
        put_big_endian(buffer, 0xd2, (uint64_t)number, 4);
    else
        put_big_endian(buffer, 0xd3, (uint64_t)number, 8);
}

void mp_bool(Buffer *buffer, bool value) { put_byte(buffer, value ? 0xc3 : 0xc2); }

Reader mp_reader(Text payload) {
    const uint8_t *at = (const uint8_t *)payload.at;
    return (Reader){at, at + payload.size, false};
}

static uint64_t read_big_endian(Reader *reader, uint32_t bytes) {
    if (reader->bad || (size_t)(reader->end - reader->at) < bytes) {
        reader->bad = true;
        return 0;
    }
    uint64_t value = 0;
    while (bytes--) value = value << 8 | *reader->at++;
    return value;
}

static uint8_t read_kind(Reader *reader) { return (uint8_t)read_big_endian(reader, 1); }

static uint32_t read_count(Reader *reader, uint8_t fix, uint8_t kind16) {
    uint8_t kind = read_kind(reader);
    uint32_t count = 0;
    if ((kind & 0xf0) == fix)
        count = kind & 0x0f;
    else if (kind == kind16 || kind == kind16 + 1)
        count = (uint32_t)read_big_endian(reader, kind == kind16 ? 2 : 4);
    else if (kind != 0xc0)
        reader->bad = true;
    /* Each item takes a byte at least: a larger count is a lie, and would be a long loop. */
    if (count > (size_t)(reader->end - reader->at)) reader->bad = true;
    return reader->bad ? 0 : count;
}

uint32_t mp_read_map(Reader *reader) { return read_count(reader, 0x80, 0xde); }

uint32_t mp_read_array(Reader *reader) { return read_count(reader, 0x90, 0xdc); }

static Text read_bytes(Reader *reader, uint32_t size) {
    if (reader->bad || (size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        return TEXT("");
    }
    Text bytes = {(const char *)reader->at, size};
    reader->at += size;
    return bytes;
}

Text mp_read_text(Reader *reader) {
    uint8_t kind = read_kind(reader);
    if ((kind & 0xe0) == 0xa0) return read_bytes(reader, kind & 0x1f);
    switch (kind) {
        case 0xd9: case 0xc4: return read_bytes(reader, (uint32_t)read_big_endian(reader, 1));
        case 0xda: case 0xc5: return read_bytes(reader, (uint32_t)read_big_endian(reader, 2));
        case 0xdb: case 0xc6: return read_bytes(reader, (uint32_t)read_big_endian(reader, 4));
        case 0xc0: break;
        default: reader->bad = true;
    }
    return TEXT("");
}

int64_t mp_read_int(Reader *reader) {
    uint8_t kind = read_kind(reader);
    if (kind < 0x80) return kind;
    if (kind >= 0xe0) return (int8_t)kind;
    switch (kind) {
        case 0xcc: return (uint8_t)read_big_endian(reader, 1);
        case 0xcd: return (uint16_t)read_big_endian(reader, 2);
        case 0xce: return (uint32_t)read_big_endian(reader, 4);
        case 0xcf: case 0xd3: return (int64_t)read_big_endian(reader, 8);
        case 0xd0: return (int8_t)read_big_endian(reader, 1);
        case 0xd1: return (int16_t)read_big_endian(reader, 2);
        case 0xd2: return (int32_t)read_big_endian(reader, 4);
        case 0xc0: return 0;
        default: reader->bad = true; return 0;
    }
}

bool mp_read_bool(Reader *reader) {
    uint8_t kind = read_kind(reader);
    if (kind != 0xc0 && kind != 0xc2 && kind != 0xc3) reader->bad = true;
    return kind == 0xc3;
}

TextList mp_read_texts(Reader *reader) {
    uint32_t count = mp_read_array(reader);
    Text *texts = take(count * sizeof *texts);
    for (uint32_t i = 0; i < count; i++) texts[i] = mp_read_text(reader);
    return (TextList){texts, count};
}

void mp_skip(Reader *reader) {
    /* Counts what is still to be skipped instead of recursing: no nesting can exhaust the stack. */
    for (uint64_t left = 1; left && !reader->bad; left--) {
        uint8_t kind = reader->at < reader->end ? *reader->at : 0xc1;
        if ((kind & 0xf0) == 0x80 || kind == 0xde || kind == 0xdf)
            left += 2 * (uint64_t)mp_read_map(reader);
        else if ((kind & 0xf0) == 0x90 || kind == 0xdc || kind == 0xdd)
            left += mp_read_array(reader);
        else if ((kind & 0xe0) == 0xa0 || (kind >= 0xd9 && kind <= 0xdb) || (kind >= 0xc4 && kind <= 0xc6))
            mp_read_text(reader);
        else if (kind == 0xc2 || kind == 0xc3)
            mp_read_bool(reader);
        else if (kind == 0xca || kind == 0xcb)
            read_bytes(reader, kind == 0xca ? 5 : 9);
        else
            mp_read_int(reader);
    }
}
