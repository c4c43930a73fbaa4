/* What the files of this folder share about calls to the actor. Not for actors. */
#ifndef LATTICE_SERVE_H
#define LATTICE_SERVE_H

#include "msgpack.h"

/* False, and this call fails, when the payload is not such a message. */
bool http_read_request(Text payload, HttpRequest *request);
bool message_read(Text payload, Message *message);
bool tick_read(Text payload, Tick *tick);

Text http_finish(HttpReply *reply); /* the reply as a message; an error of the actor's own becomes the answer first */
Text header_value(Text headers, Text name);
Text percent_decoded(Text text, bool plus_is_space);
void check(const Reader *reader); /* fails this call when a provider's reply did not fit */
void mp_field(Buffer *message, Text name, Text value);

#endif
