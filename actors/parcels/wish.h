/* What somebody asks for by a path: /c/FR/500, /c/FR/500/sx or /c/FR/500/-/12000. Where the manifest serves it, country,
 * grams, services by their letters (signed, fragile, express: x), and what it is insured for in cents. */
#ifndef WISH_H
#define WISH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *to; /* two capital letters */
    uint32_t grams;
    uint32_t services; /* bits in the order of their letters */
    bool insured;
    uint32_t worth;
} Wish;

/* What lies between here and the next "/", which is gone over. */
static uint32_t wish_part(const char **at, const char *end, const char **part) {
    if (*at < end && **at == '/') ++*at;
    *part = *at;
    while (*at < end && **at != '/') ++*at;
    return (uint32_t)(*at - *part);
}

static bool wish_number(const char *at, uint32_t size, uint32_t *number) {
    enum { DIGITS_MAX = 9 };
    *number = 0;
    for (uint32_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        *number = *number * 10 + (uint32_t)(at[i] - '0');
    }
    return size > 0 && size <= DIGITS_MAX;
}

static bool wish_services(const char *at, uint32_t size, uint32_t *services) {
    static const char letters[] = "sfx";
    *services = 0;
    if (size == 1 && *at == '-') return true;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t bit = 0;
        while (bit < 3 && letters[bit] != at[i]) bit++;
        if (bit == 3) return false;
        *services |= 1u << bit;
    }
    return true;
}

/* False for another path. */
static bool wish_read(const char *at, uint32_t size, Wish *wish) {
    const char *end = at + size, *part;
    wish_part(&at, end, &part);
    uint32_t length = wish_part(&at, end, &part);
    wish->to = part;
    if (length != 2 || part[0] < 'A' || part[0] > 'Z' || part[1] < 'A' || part[1] > 'Z') return false;
    length = wish_part(&at, end, &part);
    if (!wish_number(part, length, &wish->grams)) return false;
    length = wish_part(&at, end, &part);
    if (!wish_services(part, length, &wish->services)) return false;
    length = wish_part(&at, end, &part);
    wish->insured = length > 0;
    return at == end && (!length || wish_number(part, length, &wish->worth));
}

#define WISH_USAGE "GET /PREFIX/COUNTRY/GRAMS/SERVICES/CENTS, the last two if wanted"

#endif
