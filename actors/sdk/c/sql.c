/* wasmcloud:sqldb: statements with parameters, rows. Values are CBOR, https://www.rfc-editor.org/rfc/rfc8949. */
#include "serve.h"

enum { UNSIGNED = 0, NEGATIVE = 1, BYTES = 2, TEXT_STRING = 3, ARRAY = 4, SIMPLE = 7 };
enum { FALSE = 20, TRUE = 21, NOTHING = 22, HALF = 25, SINGLE = 26, DOUBLE = 27 };

SqlValue sql_null(void) { return (SqlValue){.kind = SQL_NULL}; }

SqlValue sql_text(Text text) { return (SqlValue){.kind = SQL_TEXT, .text = text}; }

SqlValue sql_bytes(Text bytes) { return (SqlValue){.kind = SQL_BYTES, .text = bytes}; }

SqlValue sql_integer(int64_t integer) { return (SqlValue){.kind = SQL_INTEGER, .integer = integer}; }

SqlValue sql_real(double real) { return (SqlValue){.kind = SQL_REAL, .real = real}; }

SqlValue sql_truth(bool truth) { return (SqlValue){.kind = SQL_TRUTH, .truth = truth}; }

/* ---- CBOR ------------------------------------------------------------------------------------------------------- */

static void put_head(Buffer *buffer, uint32_t major, uint64_t value, uint32_t bytes) {
    static const uint8_t lengths[] = {[1] = 24, [2] = 25, [4] = 26, [8] = 27};
    if (!bytes && value < 24) {
        put_byte(buffer, (uint8_t)(major << 5 | value));
        return;
    }
    if (!bytes) bytes = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
    put_byte(buffer, (uint8_t)(major << 5 | lengths[bytes]));
    while (bytes--) put_byte(buffer, (uint8_t)(value >> (8 * bytes)));
}

static Text cbor(SqlValue value) {
    Buffer buffer = {0};
    uint64_t bits;
    switch (value.kind) {
        case SQL_NULL: put_head(&buffer, SIMPLE, NOTHING, 0); break;
        case SQL_TRUTH: put_head(&buffer, SIMPLE, value.truth ? TRUE : FALSE, 0); break;
        case SQL_INTEGER:
            if (value.integer < 0)
                put_head(&buffer, NEGATIVE, ~(uint64_t)value.integer, 0);
            else
                put_head(&buffer, UNSIGNED, (uint64_t)value.integer, 0);
            break;
        case SQL_REAL:
            __builtin_memcpy(&bits, &value.real, sizeof bits);
            put_head(&buffer, SIMPLE, bits, sizeof bits);
            break;
        case SQL_TEXT:
        case SQL_BYTES:
            put_head(&buffer, value.kind == SQL_TEXT ? TEXT_STRING : BYTES, value.text.size, 0);
            put(&buffer, value.text);
            break;
    }
    return buffer_text(&buffer);
}

static uint64_t read_big_endian(Text *rows, uint32_t bytes, bool *bad) {
    uint64_t value = 0;
    if (rows->size < bytes) *bad = true;
    for (uint32_t i = 0; i < bytes && !*bad; i++) value = value << 8 | (uint8_t)rows->at[i];
    if (!*bad) *rows = text_from(*rows, bytes);
    return value;
}

/* The major type and what comes with it; `length` is what the first byte says of it. */
static uint32_t read_head(Text *rows, uint64_t *value, uint32_t *length, bool *bad) {
    uint32_t first = (uint32_t)read_big_endian(rows, 1, bad);
    *length = first & 31;
    *value = *length;
    if (*length > 27) *bad = true; /* of a length that is not known ahead; the provider does not send those */
    if (*length > 23 && !*bad) *value = read_big_endian(rows, 1u << (*length - 24), bad);
    return first >> 5;
}

static double real_of(uint64_t bits, uint32_t length) {
    double real;
    float single;
    uint32_t low = (uint32_t)bits;
    if (length == HALF) { /* no provider has a reason to send one; as a single it is exact */
        uint32_t exponent = low >> 10 & 31, fraction = low & 1023, sign = low >> 15;
        real = exponent ? (double)(fraction + 1024) : (double)fraction;
        for (uint32_t i = exponent ? exponent : 1; i < 25; i++) real /= 2;
        for (uint32_t i = 25; i < exponent; i++) real *= 2;
        return sign ? -real : real;
    }
    if (length == SINGLE) {
        __builtin_memcpy(&single, &low, sizeof single);
        return single;
    }
    __builtin_memcpy(&real, &bits, sizeof real);
    return real;
}

static SqlValue read_value(Text *rows, bool *bad) {
    uint64_t value;
    uint32_t length, major = read_head(rows, &value, &length, bad);
    if (*bad) return sql_null();
    if (major == UNSIGNED || major == NEGATIVE) {
        if (value > INT64_MAX) *bad = true;
        return sql_integer(major == UNSIGNED ? (int64_t)value : ~(int64_t)value);
    }
    if (major == BYTES || major == TEXT_STRING) {
        if (value > rows->size) {
            *bad = true;
            return sql_null();
        }
        Text text = {rows->at, (uint32_t)value};
        *rows = text_from(*rows, text.size);
        return major == BYTES ? sql_bytes(text) : sql_text(text);
    }
    if (major == SIMPLE && length >= HALF && length <= DOUBLE) return sql_real(real_of(value, length));
    if (major == SIMPLE && (value == TRUE || value == FALSE)) return sql_truth(value == TRUE);
    if (major != SIMPLE || value != NOTHING) *bad = true;
    return sql_null();
}

static uint32_t read_array(Text *rows, bool *bad) {
    uint64_t value;
    uint32_t length;
    if (read_head(rows, &value, &length, bad) != ARRAY || value > rows->size) *bad = true;
    return *bad ? 0 : (uint32_t)value;
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

/* The database's own code and text become the text of an error of this call. */
static void read_error(Reader *reader) {
    Text code = {0}, message = {0};
    if (reader->at < reader->end && *reader->at == 0xc0) {
        mp_skip(reader);
        return;
    }
    for (uint32_t left = mp_read_map(reader); left && !reader->bad; left--) {
        Text field = mp_read_text(reader);
        if (text_equal(field, TEXT("code")))
            code = mp_read_text(reader);
        else if (text_equal(field, TEXT("message")))
            message = mp_read_text(reader);
        else
            mp_skip(reader);
    }
    if (!reader->bad) fail_with(TEXT("sql"), text_join(text_join(code, TEXT(": ")), message));
}

static Reader ask(Text operation, Text sql, SqlValues parameters) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_field(&message, TEXT("sql"), sql);
    mp_text(&message, TEXT("parameters"));
    mp_array(&message, parameters.count);
    for (uint32_t i = 0; i < parameters.count; i++) mp_bytes(&message, cbor(parameters.at[i]));
    return mp_reader(call_provider(TEXT("wasmcloud:sqldb"), operation, buffer_text(&message)));
}

int64_t sql_execute(Text sql, SqlValues parameters) {
    Reader reader = ask(TEXT("SqlDb.Execute"), sql, parameters);
    int64_t affected = 0;
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("rowsAffected")))
            affected = mp_read_int(&reader);
        else if (text_equal(field, TEXT("error")))
            read_error(&reader);
        else
            mp_skip(&reader);
    }
    check(&reader);
    return failed() ? 0 : affected;
}

static TextList read_columns(Reader *reader) {
    uint32_t count = mp_read_array(reader);
    Text *names = take(count * sizeof *names);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t left = mp_read_map(reader); left && !reader->bad; left--) {
            if (text_equal(mp_read_text(reader), TEXT("name")))
                names[i] = mp_read_text(reader);
            else
                mp_skip(reader);
        }
    return (TextList){names, reader->bad ? 0 : count};
}

SqlRows sql_query(Text sql, SqlValues parameters) {
    Reader reader = ask(TEXT("SqlDb.Query"), sql, parameters);
    SqlRows rows = {0};
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("columns")))
            rows.columns = read_columns(&reader);
        else if (text_equal(field, TEXT("rows")))
            rows.left = mp_read_text(&reader);
        else if (text_equal(field, TEXT("error")))
            read_error(&reader);
        else
            mp_skip(&reader);
    }
    check(&reader);
    bool bad = false;
    if (failed()) return (SqlRows){0};
    if (rows.left.size) rows.count = read_array(&rows.left, &bad);
    if (bad) fail(TEXT("malformed_message: the rows cannot be read"));
    return rows;
}

bool sql_next(SqlRows *rows) {
    if (rows->done == rows->count || failed()) return false;
    bool bad = false;
    uint32_t width = read_array(&rows->left, &bad);
    SqlValue *row = take(width * sizeof *row);
    for (uint32_t i = 0; i < width && !bad; i++) row[i] = read_value(&rows->left, &bad);
    rows->done++;
    rows->row = (SqlValues){row, width};
    if (bad) fail(TEXT("malformed_message: the rows cannot be read"));
    return !bad;
}

void put_sql_json(Buffer *buffer, SqlValue value) {
    switch (value.kind) {
        case SQL_NULL: put(buffer, TEXT("null")); break;
        case SQL_TRUTH: put(buffer, value.truth ? TEXT("true") : TEXT("false")); break;
        case SQL_INTEGER: put_number(buffer, value.integer); break;
        case SQL_REAL: put_double(buffer, value.real); break;
        case SQL_TEXT: put_json(buffer, value.text); break;
        case SQL_BYTES: fail_with(TEXT("invalid"), TEXT("JSON has no form for bytes")); break;
    }
}
