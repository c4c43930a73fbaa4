/* JSON: texts written, values passed over and checked, one text member read. Records are in record.c. */
#include "scanner.h"

enum { NESTING_MAX = 32 }; /* of values that are only skipped; deeper ones count as malformed */

void put_json(Buffer *buffer, Text text) {
    static const char hex[] = "0123456789abcdef";
    put_byte(buffer, '"');
    for (uint32_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.at[i];
        if (byte == '"' || byte == '\\') {
            put_byte(buffer, '\\');
            put_byte(buffer, byte);
        } else if (byte < 0x20) {
            put(buffer, TEXT("\\u00"));
            put_byte(buffer, (uint8_t)hex[byte >> 4]);
            put_byte(buffer, (uint8_t)hex[byte & 15]);
        } else
            put_byte(buffer, byte);
    }
    put_byte(buffer, '"');
}

Scanner json_scanner(Text json) { return (Scanner){json.at, json.at + json.size, false}; }

char json_peek(Scanner *scanner) {
    while (scanner->at < scanner->end &&
           (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\n' || *scanner->at == '\r'))
        scanner->at++;
    return scanner->at < scanner->end ? *scanner->at : 0;
}

bool json_accept(Scanner *scanner, char wanted) {
    if (scanner->bad || json_peek(scanner) != wanted) return false;
    scanner->at++;
    return true;
}

void json_expect(Scanner *scanner, char wanted) {
    if (!json_accept(scanner, wanted)) scanner->bad = true;
}

static char next(Scanner *scanner) {
    if (scanner->at < scanner->end) return *scanner->at++;
    scanner->bad = true;
    return 0;
}

static uint32_t four_hex(Scanner *scanner) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        char digit = next(scanner);
        uint32_t value = digit >= '0' && digit <= '9' ? (uint32_t)(digit - '0') : (uint32_t)((digit | 0x20) - 'a' + 10);
        if (value > 15) scanner->bad = true;
        unit = unit << 4 | (value & 15);
    }
    return unit;
}

static void put_code_point(Buffer *buffer, uint32_t code) {
    if (code < 0x80) {
        put_byte(buffer, (uint8_t)code);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    put_byte(buffer, (uint8_t)((0xff00 >> (more + 1) & 0xff) | code >> (6 * more)));
    while (more--) put_byte(buffer, (uint8_t)(0x80 | (code >> (6 * more) & 0x3f)));
}

static void unescape(Scanner *scanner, Buffer *buffer) {
    char escape = next(scanner);
    switch (escape) {
        case '"': case '\\': case '/': put_byte(buffer, (uint8_t)escape); break;
        case 'b': put_byte(buffer, '\b'); break;
        case 'f': put_byte(buffer, '\f'); break;
        case 'n': put_byte(buffer, '\n'); break;
        case 'r': put_byte(buffer, '\r'); break;
        case 't': put_byte(buffer, '\t'); break;
        case 'u': {
            uint32_t code = four_hex(scanner);
            if (code >= 0xd800 && code < 0xdc00) { /* the first half of a pair: the other must follow */
                if (next(scanner) != '\\' || next(scanner) != 'u') scanner->bad = true;
                uint32_t low = four_hex(scanner);
                if (low < 0xdc00 || low > 0xdfff) scanner->bad = true;
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else if (code >= 0xdc00 && code <= 0xdfff)
                scanner->bad = true;
            if (!scanner->bad) put_code_point(buffer, code);
            break;
        }
        default: scanner->bad = true;
    }
}

Text json_string(Scanner *scanner) {
    Buffer text = {0};
    json_expect(scanner, '"');
    while (!scanner->bad) {
        char byte = next(scanner);
        if (byte == '"') break;
        if (byte == '\\')
            unescape(scanner, &text);
        else if ((uint8_t)byte < 0x20)
            scanner->bad = true;
        else
            put_byte(&text, (uint8_t)byte);
    }
    return buffer_text(&text);
}

static bool digits(Scanner *scanner) {
    const char *start = scanner->at;
    while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9') scanner->at++;
    return scanner->at > start;
}

static bool one_of(Scanner *scanner, char one, char other) {
    if (scanner->at >= scanner->end || (*scanner->at != one && *scanner->at != other)) return false;
    scanner->at++;
    return true;
}

static void skip_number(Scanner *scanner) {
    one_of(scanner, '-', '-');
    bool zero = one_of(scanner, '0', '0');
    if (!zero && !digits(scanner)) scanner->bad = true;
    if (one_of(scanner, '.', '.') && !digits(scanner)) scanner->bad = true;
    if (one_of(scanner, 'e', 'E')) {
        one_of(scanner, '+', '-');
        if (!digits(scanner)) scanner->bad = true;
    }
}

static void skip_word(Scanner *scanner, Text word) {
    Text left = {scanner->at, (uint32_t)(scanner->end - scanner->at)};
    if (text_starts(left, word))
        scanner->at += word.size;
    else
        scanner->bad = true;
}

static void skip_value(Scanner *scanner, int nesting) {
    if (scanner->bad || nesting > NESTING_MAX) {
        scanner->bad = true;
        return;
    }
    char first = json_peek(scanner);
    if (first == '"')
        json_string(scanner);
    else if (first == 't')
        skip_word(scanner, TEXT("true"));
    else if (first == 'f')
        skip_word(scanner, TEXT("false"));
    else if (first == 'n')
        skip_word(scanner, TEXT("null"));
    else if (first == '[' || first == '{') {
        char close = first == '[' ? ']' : '}';
        scanner->at++;
        if (json_accept(scanner, close)) return;
        do {
            if (first == '{') {
                json_peek(scanner);
                json_string(scanner);
                json_expect(scanner, ':');
            }
            skip_value(scanner, nesting + 1);
        } while (json_accept(scanner, ','));
        json_expect(scanner, close);
    } else
        skip_number(scanner);
}

Text json_skip(Scanner *scanner) {
    json_peek(scanner);
    const char *start = scanner->at;
    skip_value(scanner, 1);
    return (Text){start, (uint32_t)(scanner->at - start)};
}

bool json_text(Text json, Text field, Text *value) {
    Scanner scanner = json_scanner(json);
    bool found = false;
    json_expect(&scanner, '{');
    if (!json_accept(&scanner, '}')) {
        do {
            json_peek(&scanner);
            bool wanted = text_equal(json_string(&scanner), field);
            json_expect(&scanner, ':');
            if (wanted) found = json_peek(&scanner) == '"'; /* of members of one name the last counts */
            if (wanted && found)
                *value = json_string(&scanner);
            else
                skip_value(&scanner, 1);
        } while (json_accept(&scanner, ','));
        json_expect(&scanner, '}');
    }
    json_peek(&scanner);
    return found && !scanner.bad && scanner.at == scanner.end;
}
