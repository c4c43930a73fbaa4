/* MessagePack, as far as the contracts use it. For messages that lattice.h has no function for. */
#ifndef LATTICE_MSGPACK_H
#define LATTICE_MSGPACK_H

#include "lattice.h"

void mp_map(Buffer *buffer, uint32_t pairs);
void mp_array(Buffer *buffer, uint32_t items);
void mp_text(Buffer *buffer, Text text);
void mp_bytes(Buffer *buffer, Text bytes);
void mp_int(Buffer *buffer, int64_t number);
void mp_bool(Buffer *buffer, bool value);

/* Reads what is at `at` and goes on. What does not fit sets `bad`, and from then on every reader returns zeros. */
typedef struct {
    const uint8_t *at, *end;
    bool bad;
} Reader;

Reader mp_reader(Text payload);
uint32_t mp_read_map(Reader *reader);   /* pairs; nil is an empty map */
uint32_t mp_read_array(Reader *reader); /* items; nil is an empty array */
Text mp_read_text(Reader *reader);      /* str or bin; nil is empty */
int64_t mp_read_int(Reader *reader);    /* nil is 0 */
bool mp_read_bool(Reader *reader);      /* nil is false */
TextList mp_read_texts(Reader *reader);
void mp_skip(Reader *reader);           /* one value, whatever it is */

#endif
