/* Answers every HTTP request with "hello": the smallest component there is, written against the canonical ABI itself.
 *
 * A WIT function is an import of its interface's name; strings are pointer and length, a handle is a number, and a
 * result that does not fit one core value is written where the last argument points. */

#include <stddef.h>
#include <stdint.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define HTTP "wasi:http/types@0.2.12"
#define STREAMS "wasi:io/streams@0.2.12"

typedef int32_t handle;

/* result<own<T>>: a byte that is 0 for ok, then the handle. Large enough for every other result that is used here. */
typedef struct {
  uint8_t failed;
  handle value;
  uint64_t rest[8];
} result;

IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(handle, const char *, size_t, const char *, size_t, result *);
IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle headers);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle, result *);
IMPORT(HTTP, "[static]response-outparam.set")
void outparam_set(handle, int32_t failed, handle response, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(handle, result *);
IMPORT(HTTP, "[static]outgoing-body.finish") void body_finish(handle, int32_t with_trailers, handle trailers, result *);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush")
void stream_write(handle, const char *, size_t, result *);
IMPORT(STREAMS, "[resource-drop]output-stream") void stream_drop(handle);

static const char NAME[] = "content-type", TYPE[] = "text/plain", TEXT[] = "hello\n";

/* The host asks for room when an error has a text. An instance serves one request, so none is given back. */
static uint8_t room[4096];
static size_t used;

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
  (void)old;
  (void)old_size;
  used = (used + alignment - 1) & ~(alignment - 1);
  if (size > sizeof room - used) __builtin_trap();
  void *given = room + used;
  used += size;
  return given;
}

static handle need(const result *found) {
  if (found->failed) __builtin_trap();
  return found->value;
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle outparam) {
  result found;
  request_drop(request);
  handle headers = fields_new();
  fields_append(headers, NAME, sizeof NAME - 1, TYPE, sizeof TYPE - 1, &found);
  handle response = response_new(headers);
  response_body(response, &found);
  handle body = need(&found);
  outparam_set(outparam, 0, response, 0, 0, 0, 0, 0, 0);
  body_write(body, &found);
  handle stream = need(&found);
  stream_write(stream, TEXT, sizeof TEXT - 1, &found);
  stream_drop(stream);
  body_finish(body, 0, 0, &found);
}
