/* Bodies in pieces, both ways, never more than one piece of them in memory. The path says what is done:
 *
 *   /count                 reads the body and answers with its size and its FNV-1a hash
 *   /echo                  answers at once and gives the body back as it comes, its trailers too
 *   /give/SIZE             gives so many bytes, and says how many in its headers
 *   /chunks/SIZE           gives so many, and does not say
 *   /short/SIZE            says one byte more than it gives
 *   /trap/SIZE             gives so many, and traps
 *   /drop/SIZE             gives so many, and lets go of the body
 *   /unread                answers without a look at the body
 *   /to/AUTHORITY/PATH     passes the request on, and the response back
 *
 * Against the canonical ABI itself: see hello-component. */

#include <stddef.h>
#include <stdint.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define HTTP "wasi:http/types@0.2.12"
#define STREAMS "wasi:io/streams@0.2.12"
#define POLL "wasi:io/poll@0.2.12"
#define PIECE (64 * 1024)

typedef int32_t handle;

typedef struct {
  const char *at;
  uint32_t size;
} text;

/* What a function gives that gives more than a number: a byte that says which case it is, and what is in it. Where that
 * lies depends on the widest that may be there. */
typedef struct {
  _Alignas(8) uint8_t tag;
  union {
    struct {
      uint32_t first, second;
    } narrow;
    uint8_t all[100];
  };
} result;

static uint64_t wide(const result *found) { return *(const uint64_t *)((const char *)found + 8); }
static handle handle_at(const result *found, uint32_t at) { return *(const handle *)((const char *)found + at); }
static uint8_t tag_at(const result *found, uint32_t at) { return *((const uint8_t *)found + at); }

IMPORT(HTTP, "[method]incoming-request.method") void request_method(handle, result *);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_path(handle, result *);
IMPORT(HTTP, "[method]incoming-request.headers") handle request_headers(handle);
IMPORT(HTTP, "[method]incoming-request.consume") void request_consume(handle, result *);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_stream(handle, result *);
IMPORT(HTTP, "[static]incoming-body.finish") handle incoming_finish(handle);
IMPORT(HTTP, "[method]future-trailers.subscribe") handle trailers_subscribe(handle);
IMPORT(HTTP, "[method]future-trailers.get") void trailers_get(handle, result *);
IMPORT(HTTP, "[resource-drop]future-trailers") void trailers_drop(handle);
IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(handle, const char *, uint32_t, const char *, uint32_t, result *);
IMPORT(HTTP, "[method]fields.get") void fields_get(handle, const char *, uint32_t, result *);
IMPORT(HTTP, "[method]fields.clone") handle fields_clone(handle);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(handle);
IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle headers);
IMPORT(HTTP, "[method]outgoing-response.set-status-code") int32_t response_set_status(handle, int32_t);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle, result *);
IMPORT(HTTP, "[static]response-outparam.set")
void outparam_set(handle, int32_t failed, handle response, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(handle, result *);
IMPORT(HTTP, "[static]outgoing-body.finish") void body_finish(handle, int32_t with_trailers, handle, result *);
IMPORT(HTTP, "[resource-drop]outgoing-body") void body_drop(handle);
IMPORT(HTTP, "[constructor]outgoing-request") handle outgoing_new(handle headers);
IMPORT(HTTP, "[method]outgoing-request.body") void outgoing_body(handle, result *);
IMPORT(HTTP, "[method]outgoing-request.set-method")
int32_t outgoing_set_method(handle, int32_t, const char *, uint32_t);
IMPORT(HTTP, "[method]outgoing-request.set-scheme")
int32_t outgoing_set_scheme(handle, int32_t, int32_t, const char *, uint32_t);
IMPORT(HTTP, "[method]outgoing-request.set-authority")
int32_t outgoing_set_authority(handle, int32_t, const char *, uint32_t);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query")
int32_t outgoing_set_path(handle, int32_t, const char *, uint32_t);
IMPORT("wasi:http/outgoing-handler@0.2.12", "handle")
void outgoing_send(handle request, int32_t with_options, handle, result *);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") handle future_subscribe(handle);
IMPORT(HTTP, "[method]future-incoming-response.get") void future_get(handle, result *);
IMPORT(HTTP, "[resource-drop]future-incoming-response") void future_drop(handle);
IMPORT(HTTP, "[method]incoming-response.status") int32_t incoming_status(handle);
IMPORT(HTTP, "[method]incoming-response.consume") void incoming_consume(handle, result *);
IMPORT(STREAMS, "[method]input-stream.blocking-read") void stream_read(handle, int64_t, result *);
IMPORT(STREAMS, "[resource-drop]input-stream") void input_drop(handle);
IMPORT(STREAMS, "[method]output-stream.subscribe") handle output_subscribe(handle);
IMPORT(STREAMS, "[method]output-stream.check-write") void stream_check(handle, result *);
IMPORT(STREAMS, "[method]output-stream.write") void stream_write(handle, const char *, uint32_t, result *);
IMPORT(STREAMS, "[resource-drop]output-stream") void output_drop(handle);
IMPORT(POLL, "[method]pollable.block") void pollable_block(handle);
IMPORT(POLL, "[resource-drop]pollable") void pollable_drop(handle);

/* What the host gives lies here until the next piece is asked for; what has to stay lies before `kept`. */
static _Alignas(16) char room[PIECE + 32 * 1024];
static uint32_t used, kept;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  uint32_t start = (used + align - 1) & ~(align - 1);
  if (start + size > sizeof room) __builtin_trap();
  used = start + size;
  if (old_size) __builtin_memcpy(room + start, old, old_size < size ? old_size : size);
  return room + start;
}

static void need(int found) {
  if (!found) __builtin_trap();
}

static void wait_for(handle pollable) {
  pollable_block(pollable);
  pollable_drop(pollable);
}

static int begins(text *path, const char *with) {
  uint32_t size = 0;
  for (; with[size]; size++)
    if (size >= path->size || path->at[size] != with[size]) return 0;
  path->at += size;
  path->size -= size;
  return 1;
}

static uint64_t number(text digits) {
  uint64_t found = 0;
  for (uint32_t i = 0; i < digits.size && digits.at[i] >= '0' && digits.at[i] <= '9'; i++)
    found = found * 10 + (uint64_t)(digits.at[i] - '0');
  return found;
}

static uint32_t decimal(uint64_t value, char *end) {
  uint32_t size = 0;
  do *--end = (char)('0' + value % 10), size++;
  while (value /= 10);
  return size;
}

/* The next piece of a body; 0 at its end, and for one that broke off. */
static text next(handle stream) {
  result found;
  used = kept;
  stream_read(stream, PIECE, &found);
  text piece = {(const char *)(uintptr_t)found.narrow.first, found.narrow.second};
  if (found.tag) piece.size = 0;
  return piece;
}

static handle stream_of(handle incoming) {
  result found;
  incoming_stream(incoming, &found);
  need(!found.tag);
  return (handle)found.narrow.first;
}

typedef struct {
  handle body, stream, pollable;
  int gone;
} writer;

static writer write_to(handle body) {
  result found;
  body_write(body, &found);
  need(!found.tag);
  handle stream = (handle)found.narrow.first;
  return (writer){body, stream, output_subscribe(stream), 0};
}

static void put(writer *to, text piece) {
  result found;
  while (piece.size && !to->gone) {
    stream_check(to->stream, &found);
    uint64_t permitted = found.tag ? 0 : wide(&found);
    to->gone = found.tag;
    if (!permitted) {
      if (!to->gone) pollable_block(to->pollable);
      continue;
    }
    uint32_t size = permitted < piece.size ? (uint32_t)permitted : piece.size;
    stream_write(to->stream, piece.at, size, &found);
    to->gone = found.tag;
    piece.at += size;
    piece.size -= size;
  }
}

static void close_stream(writer *to) {
  pollable_drop(to->pollable);
  output_drop(to->stream);
}

static void finish(writer *to, int with_trailers, handle trailers) {
  result found;
  close_stream(to);
  body_finish(to->body, with_trailers, trailers, &found);
}

/* Sets the response; what is written from now on leaves as it is written. */
static writer answer(handle out, int32_t status, int with_length, uint64_t length) {
  result found;
  char digits[20];
  uint32_t size = decimal(length, digits + sizeof digits);
  handle headers = fields_new();
  if (with_length) fields_append(headers, "content-length", 14, digits + sizeof digits - size, size, &found);
  handle response = response_new(headers);
  response_set_status(response, status);
  response_body(response, &found);
  need(!found.tag);
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  return write_to((handle)found.narrow.first);
}

static void pass_on(handle incoming, writer *to) {
  handle from = stream_of(incoming);
  for (text piece = next(from); piece.size && !to->gone; piece = next(from)) put(to, piece);
  input_drop(from);
}

static void echo(handle request, handle out) {
  result found;
  writer to = answer(out, 200, 0, 0);
  request_consume(request, &found);
  need(!found.tag);
  handle incoming = (handle)found.narrow.first;
  pass_on(incoming, &to);
  handle trailers = incoming_finish(incoming);
  wait_for(trailers_subscribe(trailers));
  trailers_get(trailers, &found);
  int any = found.tag && !tag_at(&found, 8) && !tag_at(&found, 16) && tag_at(&found, 24);
  finish(&to, any, any ? fields_clone(handle_at(&found, 28)) : 0);
}

static void count(handle request, handle out) {
  result found;
  request_consume(request, &found);
  need(!found.tag);
  handle from = stream_of((handle)found.narrow.first);
  uint64_t size = 0, hash = 14695981039346656037u;
  for (text piece = next(from); piece.size; piece = next(from)) {
    size += piece.size;
    for (uint32_t i = 0; i < piece.size; i++) hash = (hash ^ (uint8_t)piece.at[i]) * 1099511628211u;
  }
  input_drop(from);
  char line[64], *end = line + sizeof line;
  *--end = '\n';
  for (int i = 0; i < 16; i++, hash >>= 4) *--end = "0123456789abcdef"[hash & 15];
  *--end = ' ';
  end -= decimal(size, end);
  writer to = answer(out, 200, 0, 0);
  put(&to, (text){end, (uint32_t)(line + sizeof line - end)});
  finish(&to, 0, 0);
}

/* Byte n is n mod 251, so that what is missing or doubled shows. */
static void give(writer *to, uint64_t size) {
  char *piece = room + kept;
  for (uint64_t at = 0; at < size && !to->gone;) {
    uint32_t part = size - at < PIECE ? (uint32_t)(size - at) : PIECE;
    for (uint32_t i = 0; i < part; i++) piece[i] = (char)((at + i) % 251);
    put(to, (text){piece, part});
    at += part;
  }
}

static void relay(handle request, handle out, text where) {
  result found, method;
  uint32_t slash = 0;
  while (slash < where.size && where.at[slash] != '/') slash++;
  handle headers = request_headers(request), passed = fields_new();
  fields_get(headers, "content-length", 14, &found);
  /* A list of lists: where its items lie, and how many they are. */
  const uint32_t *items = (const uint32_t *)(uintptr_t)*(const uint32_t *)&found;
  if (*((const uint32_t *)&found + 1))
    fields_append(passed, "content-length", 14, (const char *)(uintptr_t)items[0], items[1], &method);
  fields_drop(headers);
  handle outgoing = outgoing_new(passed);
  request_method(request, &method);
  outgoing_set_method(outgoing, method.tag, (const char *)(uintptr_t)method.narrow.first, method.narrow.second);
  outgoing_set_scheme(outgoing, 1, 0, 0, 0);
  outgoing_set_authority(outgoing, 1, where.at, slash);
  outgoing_set_path(outgoing, 1, where.at + slash, where.size - slash);
  outgoing_body(outgoing, &found);
  need(!found.tag);
  writer to = write_to((handle)found.narrow.first);
  outgoing_send(outgoing, 0, 0, &found);
  need(!found.tag);
  handle future = (handle)wide(&found);
  request_consume(request, &found);
  need(!found.tag);
  pass_on((handle)found.narrow.first, &to);
  finish(&to, 0, 0);
  wait_for(future_subscribe(future));
  future_get(future, &found);
  int failed = !found.tag || tag_at(&found, 8) || tag_at(&found, 16);
  handle response = handle_at(&found, 24);
  writer back = answer(out, failed ? 502 : incoming_status(response), 0, 0);
  if (!failed) {
    incoming_consume(response, &found);
    need(!found.tag);
    pass_on((handle)found.narrow.first, &back);
  }
  finish(&back, 0, 0);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle") void handle_request(handle request, handle out) {
  result found;
  request_path(request, &found);
  text path = {(const char *)(uintptr_t)found.narrow.first, found.tag ? found.narrow.second : 0};
  kept = used;
  if (begins(&path, "/to/")) return relay(request, out, path);
  if (begins(&path, "/echo")) return echo(request, out);
  if (begins(&path, "/count")) return count(request, out);
  int told = begins(&path, "/give/"), short_of = begins(&path, "/short/"), chunks = begins(&path, "/chunks/");
  int traps = begins(&path, "/trap/"), drops = begins(&path, "/drop/"), unread = begins(&path, "/unread");
  uint64_t size = number(path);
  request_drop(request);
  writer to = answer(out, told || short_of || chunks || traps || drops || unread ? 200 : 404, told || short_of,
                     size + (uint64_t)short_of);
  give(&to, size);
  need(!traps);
  if (!drops) return finish(&to, 0, 0);
  close_stream(&to);
  body_drop(to.body);
}
