/* Records read from JSON objects, checked, and written. */
#include "scanner.h"

static void refuse(Text field, Text what) {
    Buffer why = {0};
    put_json(&why, field);
    put(&why, what);
    fail_with(TEXT("invalid"), buffer_text(&why));
}

static const Text WANTED[] = {
    [JSON_TEXT] = TEXT_OF(" must be a text"),
    [JSON_INTEGER] = TEXT_OF(" must be a whole number"),
    [JSON_NUMBER] = TEXT_OF(" must be a number"),
    [JSON_TRUTH] = TEXT_OF(" must be true or false"),
    [JSON_TEXTS] = TEXT_OF(" must be a list of texts"),
};

/* A number without fraction and exponent that 64 bits hold. */
static bool integer_of(Text text, int64_t *number) {
    bool negative = text.size && text.at[0] == '-';
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    for (uint32_t i = negative; i < text.size; i++) {
        uint32_t digit = (uint32_t)(text.at[i] - '0');
        if (digit > 9 || value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *number = (int64_t)(negative ? 0 - value : value);
    return text.size > negative;
}

static TextList texts_of(Scanner *scanner, bool *fits) {
    TextList texts = {0};
    uint32_t capacity = 0;
    Text *at = NULL;
    *fits = json_accept(scanner, '[');
    if (!*fits || json_accept(scanner, ']')) return texts;
    do {
        *fits = json_peek(scanner) == '"';
        if (!*fits) return texts;
        if (texts.count == capacity) {
            capacity = capacity * 2 + 8;
            Text *larger = take(capacity * sizeof *larger);
            if (texts.count) __builtin_memcpy(larger, at, texts.count * sizeof *at);
            at = larger;
        }
        at[texts.count++] = json_string(scanner);
    } while (json_accept(scanner, ','));
    texts.at = at;
    return texts;
}

/* Reads one value, which is known to be well-formed. */
static bool read_member(Scanner scanner, JsonKind kind, char *to) {
    char first = json_peek(&scanner);
    bool fits = true;
    Scanner whole = scanner;
    Text raw = json_skip(&whole);
    switch (kind) {
        case JSON_TEXT:
            if (first != '"') return false;
            *(Text *)to = json_string(&scanner);
            if (!((Text *)to)->at) ((Text *)to)->at = ""; /* there, unlike an optional one that is not */
            break;
        case JSON_INTEGER: return integer_of(raw, (int64_t *)to);
        case JSON_NUMBER:
            if (first != '-' && (first < '0' || first > '9')) return false;
            *(double *)to = text_double(raw);
            break;
        case JSON_TRUTH: *(bool *)to = first == 't'; return first == 't' || first == 'f';
        case JSON_TEXTS: *(TextList *)to = texts_of(&scanner, &fits); break;
        case JSON_ANY: ((Json *)to)->text = raw; break;
    }
    return fits;
}

static const Field *field_named(Text name, const Field *fields, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (text_equal(fields[i].name, name)) return fields + i;
    return NULL;
}

/* A well-formed object, or a failure that says what it is instead. */
static bool check_object(Text json) {
    Scanner scanner = json_scanner(json);
    json_skip(&scanner);
    json_peek(&scanner);
    if (scanner.bad || scanner.at != scanner.end || !text_is_utf8(json)) {
        fail_with(TEXT("invalid"), TEXT("this is not JSON"));
        return false;
    }
    scanner = json_scanner(json);
    if (json_accept(&scanner, '{')) return true;
    fail_with(TEXT("invalid"), TEXT("a JSON object is wanted"));
    return false;
}

bool json_read_fields(Text json, const Field *fields, uint32_t count, void *record) {
    if (failed() || !check_object(json)) return false;
    bool *there = take(count);
    __builtin_memset(there, 0, count);
    for (uint32_t i = 0; i < count; i++) __builtin_memset((char *)record + fields[i].offset, 0, fields[i].size);
    Scanner scanner = json_scanner(json);
    json_accept(&scanner, '{');
    for (bool more = json_peek(&scanner) != '}'; more; more = json_accept(&scanner, ',')) {
        json_peek(&scanner);
        const Field *field = field_named(json_string(&scanner), fields, count);
        json_accept(&scanner, ':');
        bool absent = field && field->optional && json_peek(&scanner) == 'n';
        if (field && !absent) {
            there[field - fields] = true;
            if (!read_member(scanner, field->kind, (char *)record + field->offset)) {
                refuse(field->name, WANTED[field->kind]);
                return false;
            }
        }
        json_skip(&scanner);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!there[i] && !fields[i].optional) {
            refuse(fields[i].name, TEXT(" is missing"));
            return false;
        }
    return true;
}

static void put_member(Buffer *buffer, JsonKind kind, const char *from) {
    switch (kind) {
        case JSON_TEXT: put_json(buffer, *(const Text *)from); break;
        case JSON_INTEGER: put_number(buffer, *(const int64_t *)from); break;
        case JSON_NUMBER: put_double(buffer, *(const double *)from); break;
        case JSON_TRUTH: put(buffer, *(const bool *)from ? TEXT("true") : TEXT("false")); break;
        case JSON_TEXTS: put_json_texts(buffer, *(const TextList *)from); break;
        case JSON_ANY: put(buffer, ((const Json *)from)->text); break;
    }
}

static bool is_absent(const Field *field, const char *from) {
    if (!field->optional) return false;
    if (field->kind == JSON_TEXT) return !((const Text *)from)->at;
    if (field->kind == JSON_ANY) return !((const Json *)from)->text.size;
    return false;
}

void put_json_texts(Buffer *buffer, TextList texts) {
    put_byte(buffer, '[');
    for (uint32_t i = 0; i < texts.count; i++) {
        if (i) put_byte(buffer, ',');
        put_json(buffer, texts.at[i]);
    }
    put_byte(buffer, ']');
}

Text json_write_fields(const Field *fields, uint32_t count, const void *record) {
    Buffer json = {0};
    put_byte(&json, '{');
    for (uint32_t i = 0; i < count; i++) {
        const char *from = (const char *)record + fields[i].offset;
        if (is_absent(fields + i, from)) continue;
        if (json.size > 1) put_byte(&json, ',');
        put_json(&json, fields[i].name);
        put_byte(&json, ':');
        put_member(&json, fields[i].kind, from);
    }
    put_byte(&json, '}');
    return buffer_text(&json);
}
