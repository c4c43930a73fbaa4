/* Floating-point numbers as decimal text and back, exactly: without a C library, and without tables.
 *
 * A number is written out as all its decimal digits, which doubling and halving make one bit at a time. That is slow for
 * the largest and the smallest numbers (a millisecond) and some microseconds for those that people write.
 */
#include "lattice.h"

enum {
    DIGITS_MAX = 800, /* what a number may need: 767 digits tell every double from its neighbours */
    DIGITS_SURE = 17, /* so many significant digits always lead back to the same double */
    MANTISSA_BITS = 52,
    EXPONENT_BIAS = 1075, /* of the mantissa as a whole number */
    EXPONENT_MAX = 2047,
    POINT_MAX = 400, /* beyond 1e400 is infinity, below 1e-400 is zero */
};

/* 0.d1d2d3... times ten to the power of `point`. */
typedef struct {
    uint8_t at[DIGITS_MAX];
    int32_t count, point;
    bool cut; /* digits that are not zero were lost behind the last */
} Digits;

static void trim(Digits *digits) {
    while (digits->count && !digits->at[digits->count - 1]) digits->count--;
    if (!digits->count) digits->point = 0;
}

static void twice(Digits *digits) {
    uint32_t carry = 0;
    for (int32_t i = digits->count; i--;) {
        carry += digits->at[i] * 2u;
        digits->at[i] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    if (!carry) {
        trim(digits);
        return;
    }
    if (digits->count == DIGITS_MAX && digits->at[--digits->count]) digits->cut = true;
    __builtin_memmove(digits->at + 1, digits->at, (size_t)digits->count++);
    digits->at[0] = (uint8_t)carry;
    digits->point++;
    trim(digits);
}

static void half(Digits *digits) {
    uint32_t rest = 0;
    for (int32_t i = 0; i < digits->count; i++) {
        rest = rest * 10 + digits->at[i];
        digits->at[i] = (uint8_t)(rest / 2);
        rest %= 2;
    }
    if (rest && digits->count < DIGITS_MAX)
        digits->at[digits->count++] = 5;
    else if (rest)
        digits->cut = true;
    if (digits->count && !digits->at[0]) {
        __builtin_memmove(digits->at, digits->at + 1, (size_t)--digits->count);
        digits->point--;
    }
    trim(digits);
}

static void scale(Digits *digits, int32_t power_of_two) {
    for (; power_of_two > 0; power_of_two--) twice(digits);
    for (; power_of_two < 0 && digits->count; power_of_two++) half(digits);
}

/* Whether the first `count` digits are to be counted up by one: to the nearest, halves to the even one. */
static bool rounds_up(const Digits *digits, int32_t count) {
    if (count < 0 || count >= digits->count) return false;
    if (digits->at[count] != 5 || count + 1 < digits->count || digits->cut) return digits->at[count] >= 5;
    return count && digits->at[count - 1] % 2;
}

static void cut_to(Digits *digits, int32_t count) {
    bool up = rounds_up(digits, count);
    if (count < digits->count) digits->count = count;
    for (int32_t i = digits->count; up && i--;) {
        up = digits->at[i] == 9;
        digits->at[i] = up ? 0 : digits->at[i] + 1;
    }
    if (up) { /* all were nines */
        digits->at[0] = 1;
        digits->count = 1;
        digits->point++;
    }
    trim(digits);
}

/* The digits before the point, as a whole number; `point` is at most 18. */
static uint64_t whole(const Digits *digits) {
    uint64_t number = 0;
    for (int32_t i = 0; i < digits->point; i++) number = number * 10 + (i < digits->count ? digits->at[i] : 0);
    return number;
}

static double of_bits(uint64_t bits) {
    double number;
    __builtin_memcpy(&number, &bits, sizeof number);
    return number;
}

/* The double that is nearest; `digits` are used up. */
static double value_of(Digits *digits) {
    const uint64_t top = 1ull << MANTISSA_BITS;
    if (!digits->count || digits->point < -POINT_MAX) return 0;
    int32_t exponent = EXPONENT_BIAS;
    if (digits->point > POINT_MAX) exponent = EXPONENT_MAX;
    /* The mantissa is the whole part of what is between `top` and twice that. */
    for (; exponent < EXPONENT_MAX && (digits->point > 17 || whole(digits) >= 2 * top); exponent++) half(digits);
    for (; exponent > 1 && whole(digits) < top; exponent--) twice(digits);
    if (exponent >= EXPONENT_MAX) return of_bits((uint64_t)EXPONENT_MAX << MANTISSA_BITS);
    uint64_t mantissa = whole(digits) + rounds_up(digits, digits->point);
    /* What rounding carries out of the mantissa is one more in the exponent, which lies right above it. */
    return of_bits(((uint64_t)exponent << MANTISSA_BITS) + mantissa - top);
}

static Digits digits_of(uint64_t bits) {
    const uint64_t top = 1ull << MANTISSA_BITS;
    int32_t exponent = (int32_t)(bits >> MANTISSA_BITS) & EXPONENT_MAX;
    uint64_t mantissa = exponent ? (bits & (top - 1)) | top : bits & (top - 1);
    Digits digits = {0};
    Text text = text_number((int64_t)mantissa);
    for (uint32_t i = 0; i < text.size; i++) digits.at[i] = (uint8_t)(text.at[i] - '0');
    digits.count = digits.point = (int32_t)text.size;
    trim(&digits);
    scale(&digits, (exponent ? exponent : 1) - EXPONENT_BIAS);
    return digits;
}

static void put_digits(Buffer *buffer, const Digits *digits, int32_t from, int32_t to) {
    for (int32_t i = from; i < to; i++) put_byte(buffer, '0' + (i < digits->count ? digits->at[i] : 0));
}

void put_double(Buffer *buffer, double number) {
    uint64_t bits;
    __builtin_memcpy(&bits, &number, sizeof bits);
    uint64_t size = bits & ~(1ull << 63);
    if (size >> MANTISSA_BITS == EXPONENT_MAX) {
        put(buffer, TEXT("null")); /* JSON has no infinity */
        return;
    }
    if (bits != size) put_byte(buffer, '-');
    Digits exact = digits_of(size), shortest = exact;
    for (int32_t count = DIGITS_SURE - 2; count <= DIGITS_SURE; count++) {
        shortest = exact;
        cut_to(&shortest, count);
        Digits again = shortest;
        if (value_of(&again) == of_bits(size)) break;
    }
    int32_t point = shortest.point;
    bool plain = point > -6 && point <= 21;
    if (!plain) point = 1;
    if (point > 0)
        put_digits(buffer, &shortest, 0, point);
    else
        put_byte(buffer, '0');
    if (shortest.count > point) {
        put_byte(buffer, '.');
        for (int32_t zeros = point; zeros < 0; zeros++) put_byte(buffer, '0');
        put_digits(buffer, &shortest, point > 0 ? point : 0, shortest.count);
    }
    if (plain) return;
    put_byte(buffer, 'e');
    put_number(buffer, shortest.point - 1);
}

double text_double(Text text) {
    Digits digits = {0};
    uint32_t i = 0;
    bool negative = text.size && text.at[0] == '-', after_point = false;
    if (negative) i++;
    for (; i < text.size && (text.at[i] == '.' || (text.at[i] >= '0' && text.at[i] <= '9')); i++) {
        if (text.at[i] == '.') {
            after_point = true;
            continue;
        }
        bool leading = !digits.count && text.at[i] == '0';
        if (!leading && digits.count < DIGITS_MAX)
            digits.at[digits.count++] = (uint8_t)(text.at[i] - '0');
        else if (!leading && text.at[i] != '0')
            digits.cut = true;
        digits.point += (leading ? 0 : 1) - (after_point ? 1 : 0);
    }
    if (i < text.size) { /* e */
        bool down = ++i < text.size && text.at[i] == '-';
        if (i < text.size && (text.at[i] == '-' || text.at[i] == '+')) i++;
        int32_t exponent = 0;
        for (; i < text.size && exponent < 1000000; i++) exponent = exponent * 10 + (text.at[i] - '0');
        digits.point += down ? -exponent : exponent;
    }
    trim(&digits);
    double number = value_of(&digits);
    return negative ? -number : number;
}
