/* The readers of the SDK for C on this machine instead of in WebAssembly, where a byte read too far is seen: every input
 * ends where memory ends. Prints what was checked; ends with 1 at the first mistake. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "serve.h"

/* ---- what call.c is in an actor ---------------------------------------------------------------------------------- */

enum { ARENA = 1 << 26, ROUNDS = 40000, INPUT_MAX = 4096 };

static char arena[ARENA];
static size_t taken;
static bool has_failed;
static Text why, reply;

void *take(uint32_t size) {
    size_t start = taken;
    taken += ((size_t)size + 7) & ~(size_t)7;
    if (taken > ARENA) {
        printf("an input of %d bytes makes the reader take more than %d\n", INPUT_MAX, ARENA);
        exit(1);
    }
    return arena + start;
}

void fail(Text text) {
    if (!has_failed) why = text;
    has_failed = true;
}

void fail_with(Text code, Text text) { fail(text_join(text_join(code, TEXT(": ")), text)); }

bool failed(void) { return has_failed; }

Text error_take(void) {
    has_failed = false;
    return why;
}

bool error_is(Text code) { return has_failed && text_starts(why, code); }

Text call_provider(Text contract, Text operation, Text payload) {
    (void)contract, (void)operation, (void)payload;
    return reply;
}

const Handler actor_handlers[] = {{NO_TEXT, serve_http, {.http = NULL}, NO_TEXT, NO_TEXT}};
const uint32_t actor_handler_count = 0;

uint32_t clock_time_get(uint32_t clock, uint64_t precision_ns, uint64_t *time_ns) {
    (void)clock, (void)precision_ns;
    *time_ns = 0;
    return 0;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static uint64_t state = 88172645463325252ull;

static uint32_t random_below(uint32_t limit) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 33) % limit;
}

static char *border; /* nothing can be read from here on */

static void make_border(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (INPUT_MAX + page - 1) / page * page;
    char *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + room, page, PROT_NONE)) exit(2);
    border = at + room;
}

/* A seed with some bytes changed, and perhaps cut. */
static Text mutated(Text seed) {
    static const char likely[] = "{}[]\",:\\u0123eE+-.nt \n\xff\xc0\x80\xde\xdd\xdb\xc6\x9f\x8f\x7f\x1f\x3b\x5b\xfb";
    uint32_t size = random_below(4) ? seed.size : random_below(seed.size + 1);
    char *at = border - size;
    memcpy(at, seed.at, size);
    for (uint32_t changes = random_below(4); changes && size; changes--)
        at[random_below(size)] = random_below(2) ? likely[random_below(sizeof likely - 1)] : (char)random_below(256);
    return (Text){at, size};
}

static void begin(void) {
    taken = 0;
    has_failed = false;
}

/* ---- what is checked --------------------------------------------------------------------------------------------- */

typedef struct {
    Text text, maybe;
    int64_t whole;
    double number;
    bool truth;
    TextList list;
    Json any;
} Everything;
static const Field fields[] = {
    FIELD(Everything, text),  FIELD(Everything, whole), FIELD(Everything, number),   FIELD(Everything, truth),
    FIELD(Everything, list), FIELD(Everything, any),   OPTIONAL(Everything, maybe),
};

static void check_json(void) {
    const Text seed = TEXT("{\"text\":\"a\\u00e9\\ud83d\\ude00\",\"whole\":-36,\"number\":-1.5e-3,\"truth\":true,"
                           "\"list\":[\"x\",\"y\"],\"any\":{\"a\":[null,1]},\"maybe\":null,\"other\":[{}]}");
    uint32_t read = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        begin();
        Everything all, again;
        if (!json_read(mutated(seed), fields, &all)) continue;
        read++;
        Text written = json_write(fields, &all);
        if (!json_read(written, fields, &again) || !text_equal(written, json_write(fields, &again))) {
            printf("what was written is read as something else: %.*s\n", (int)written.size, written.at);
            exit(1);
        }
    }
    if (read < ROUNDS / 20 || read == ROUNDS) exit(3);
    printf("json: %u of %d\n", read, ROUNDS);
}

static void check_messages(void) {
    const Text request = TEXT("\x85\xa6method\xa3GET\xa4path\xa2/a\xabqueryString\xa3x=1\xa6header\x81\xa1h\x92\xa1"
                              "1\xa1" "2\xa4" "body\xc4\x02hi");
    const Text rows = TEXT("\x83\xa7numRows\x02\xa7" "columns\x91\x81\xa4name\xa1" "a\xa4rows\xc4\x12\x82\x81\xfb\0\0\0"
                           "\0\0\0\0\0\x81\x65hello");
    HttpRequest asked;
    begin();
    reply = rows;
    if (!http_read_request(request, &asked) || sql_query(TEXT("SELECT"), SQL_NO_VALUES).count != 2) exit(3);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        begin();
        Text value;
        if (http_read_request(mutated(request), &asked)) {
            http_header(&asked, TEXT("h"));
            http_query(&asked, TEXT("x"), &value);
        }
        begin();
        Message message;
        message_read(mutated(request), &message);
        begin();
        reply = mutated(rows);
        SqlRows found = sql_query(TEXT("SELECT"), SQL_NO_VALUES);
        while (sql_next(&found)) {}
        begin();
        reply = mutated(TEXT("\x82\xa7objects\x91\x81\xa8objectId\xa1o\xa6isLast\xc3"));
        blob_list(TEXT("container"), TEXT(""));
        begin();
        reply = mutated(TEXT("\x82\xa5value\xa1v\xa6" "exists\xc3"));
        kv_get(TEXT("key"), NULL);
    }
    puts("messages: read");
}

static void check_numbers(void) {
    for (uint32_t round = 0; round < ROUNDS / 10; round++) {
        begin();
        uint64_t bits = (uint64_t)random_below(1u << 31) << 33 ^ (uint64_t)random_below(1u << 31) << 11 ^ random_below(1u << 11);
        double number, plain = (double)(int32_t)random_below(1u << 31) / (double)(1 + random_below(1000));
        memcpy(&number, &bits, sizeof number);
        if (round % 2) number = plain;
        if (round % 50 == 0) number = plain * 4.9406564584124654e-324;
        if (number - number != 0) continue; /* no number at all, or infinity */
        Buffer text = {0};
        put_double(&text, number);
        put_byte(&text, 0);
        text.size--;
        char libc[64];
        int size = snprintf(libc, sizeof libc, "%.*g", (int)(1 + round % 20), number);
        if (strtod(text.at, NULL) != number || text_double(buffer_text(&text)) != number ||
            text_double((Text){libc, (uint32_t)size}) != strtod(libc, NULL)) {
            printf("%.17g is written as %s, and %s read as %.17g\n", number, text.at, libc,
                   text_double((Text){libc, (uint32_t)size}));
            exit(1);
        }
    }
    puts("numbers: as the C library has them");
}

int main(void) {
    make_border();
    check_json();
    check_messages();
    check_numbers();
    return 0;
}
