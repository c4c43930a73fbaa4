/* Texts and buffers. */
#include "lattice.h"

bool text_equal(Text one, Text other) {
    if (one.size != other.size) return false;
    for (uint32_t i = 0; i < one.size; i++)
        if (one.at[i] != other.at[i]) return false;
    return true;
}

bool text_starts(Text text, Text start) {
    return text.size >= start.size && text_equal((Text){text.at, start.size}, start);
}

Text text_from(Text text, uint32_t start) {
    return start < text.size ? (Text){text.at + start, text.size - start} : TEXT("");
}

bool text_cut(Text text, char at, Text *before, Text *after) {
    for (uint32_t i = 0; i < text.size; i++)
        if (text.at[i] == at) {
            *before = (Text){text.at, i};
            *after = text_from(text, i + 1);
            return true;
        }
    *before = text;
    *after = TEXT("");
    return false;
}

Text text_join(Text one, Text other) {
    char *joined = take(one.size + other.size);
    __builtin_memcpy(joined, one.at, one.size);
    __builtin_memcpy(joined + one.size, other.at, other.size);
    return (Text){joined, one.size + other.size};
}

Text text_number(int64_t number) {
    enum { DIGITS_MAX = 20 }; /* of a 64-bit number with its sign */
    char *end = (char *)take(DIGITS_MAX) + DIGITS_MAX, *at = end;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0) *--at = '-';
    return (Text){at, (uint32_t)(end - at)};
}

static char *room(Buffer *buffer, uint32_t more) {
    if (more > buffer->capacity - buffer->size) {
        uint32_t capacity = buffer->capacity * 2 + more + 64;
        char *larger = take(capacity);
        __builtin_memcpy(larger, buffer->at, buffer->size);
        buffer->at = larger;
        buffer->capacity = capacity;
    }
    char *to = buffer->at + buffer->size;
    buffer->size += more;
    return to;
}

void put(Buffer *buffer, Text text) { __builtin_memcpy(room(buffer, text.size), text.at, text.size); }

void put_byte(Buffer *buffer, uint8_t byte) { *room(buffer, 1) = (char)byte; }

void put_number(Buffer *buffer, int64_t number) { put(buffer, text_number(number)); }

void put_html(Buffer *buffer, Text text) {
    for (uint32_t i = 0; i < text.size; i++) switch (text.at[i]) {
        case '&': put(buffer, TEXT("&amp;")); break;
        case '<': put(buffer, TEXT("&lt;")); break;
        case '>': put(buffer, TEXT("&gt;")); break;
        case '"': put(buffer, TEXT("&quot;")); break;
        case '\'': put(buffer, TEXT("&#39;")); break;
        default: put_byte(buffer, (uint8_t)text.at[i]);
        }
}

Text buffer_text(const Buffer *buffer) { return (Text){buffer->at, buffer->size}; }

/* The sequences of RFC 3629: no halves of pairs, nothing written longer than needed. */
bool text_is_utf8(Text text) {
    for (uint32_t i = 0; i < text.size;) {
        uint8_t first = (uint8_t)text.at[i++];
        if (first < 0x80) continue;
        uint32_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || text.size - i < more) return false;
        uint8_t second = (uint8_t)text.at[i];
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (second < low || second > high) return false;
        while (more--)
            if (((uint8_t)text.at[i++] & 0xc0) != 0x80) return false;
    }
    return true;
}
