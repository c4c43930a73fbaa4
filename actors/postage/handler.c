// What a parcel costs: a component that exports an interface of its own, for other actors to call. Without an SDK: what
// the canonical ABI makes of the functions of WIT is written out below.
#include <stdint.h>

#define EXPORT(function) __attribute__((export_name(function)))
#define POSTAGE "lattice:parcels/postage@0.1.0"
#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { GRAMS_MAX = 30000 };
enum { SIGNED = 1, FRAGILE = 2, EXPRESS = 4 }; // flags services

typedef struct {
    const char *at;
    uint32_t size;
} Text;

typedef struct {
    Text code;
    uint8_t zone; // enum zone
} Country;        // tuple<string, zone>

typedef struct {
    uint8_t failed;
    union {
        struct {
            uint32_t cents;
            uint8_t zone;
            uint8_t days[2];
        } quote;
        struct {
            uint8_t reason;
            union {
                uint32_t grams_max;
                Text country;
            };
        } refusal;
    };
} Priced; // result<quote, refusal>

static const Country countries[] = {
    {{"DE", 2}, 0}, {{"AT", 2}, 1}, {{"FR", 2}, 1}, {{"PL", 2}, 1}, {{"JP", 2}, 2}, {{"US", 2}, 2},
};
static const struct {
    uint32_t cents, cents_per_100_grams;
    uint8_t days[2];
} zones[] = {{490, 10, {1, 2}}, {890, 25, {2, 4}}, {1890, 80, {6, 12}}};

// An instance answers one call, so nothing is freed.
static _Alignas(16) char room[4096];
static uint32_t used;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
    uint32_t start = (used + align - 1) & ~(align - 1);
    if (start > sizeof room || size > sizeof room - start) __builtin_trap();
    used = start + size;
    if (old_size) __builtin_memcpy(room + start, old, old_size);
    return room + start;
}

static const Country *find(Text code) {
    for (uint32_t i = 0; i < COUNT(countries) && code.size == 2; i++)
        if (countries[i].code.at[0] == code.at[0] && countries[i].code.at[1] == code.at[1]) return &countries[i];
    return 0;
}

EXPORT(POSTAGE "#price")
const Priced *price(const char *to, uint32_t to_size, uint32_t grams, uint32_t services, int32_t is_insured, uint32_t worth) {
    static Priced priced;
    const Country *country = find((Text){to, to_size});
    priced.failed = !country || grams > GRAMS_MAX;
    if (!country) {
        priced.refusal.reason = 1;
        priced.refusal.country = (Text){to, to_size};
    } else if (priced.failed) {
        priced.refusal.reason = 0;
        priced.refusal.grams_max = GRAMS_MAX;
    } else {
        uint32_t cents = zones[country->zone].cents + (grams + 99) / 100 * zones[country->zone].cents_per_100_grams;
        if (services & SIGNED) cents += 350;
        if (services & FRAGILE) cents += 200;
        if (services & EXPRESS) cents *= 2;
        if (is_insured) cents += worth / 100 < 100 ? 100 : worth / 100;
        priced.quote.cents = cents;
        priced.quote.zone = country->zone;
        for (uint32_t i = 0; i < 2; i++) {
            uint8_t days = zones[country->zone].days[i];
            priced.quote.days[i] = services & EXPRESS ? (days + 1) / 2 : days;
        }
    }
    return &priced;
}

typedef struct {
    const Country *at;
    uint32_t size;
} Countries;

EXPORT(POSTAGE "#countries") const Countries *list_countries(void) {
    static Countries found;
    found = (Countries){countries, COUNT(countries)};
    return &found;
}
