/* The other half of pinger: answers its calls, and calls it back as often as it is told to. */
#include "lattice.h"

static Text ping(Text operation, Text payload) {
    (void)operation;
    return text_join(TEXT("pong: "), payload);
}

/* The payload is a number in decimal: how many more calls to make. The reply is the trail of who was called. */
static Text bounce(Text operation, Text payload) {
    enum { DIGITS_MAX = 6 }; /* more bounces than any host lets happen */
    int64_t left = 0;
    bool number = payload.size > 0 && payload.size <= DIGITS_MAX;
    for (uint32_t i = 0; i < payload.size && number; i++) {
        number = payload.at[i] >= '0' && payload.at[i] <= '9';
        left = left * 10 + (payload.at[i] - '0');
    }
    if (!number) {
        fail(TEXT("Bounce takes a number of at most six digits"));
        return TEXT("");
    }
    if (!left) return TEXT("ponger");
    return text_join(TEXT("ponger > "), call_actor(TEXT("pinger"), operation, text_number(left - 1)));
}

ACTOR(ON("Ping", ping), ON("Bounce", bounce))
