/* One call of the actor: the waPC imports and exports, memory, errors. */
#include "lattice.h"

#define IMPORT(name) __attribute__((import_module("wapc"), import_name(#name)))
IMPORT(__guest_request) void guest_request(char *operation, char *payload);
IMPORT(__guest_response) void guest_response(const char *at, uint32_t size);
IMPORT(__guest_error) void guest_error(const char *at, uint32_t size);
IMPORT(__host_call)
uint32_t host_call(const char *binding, uint32_t binding_size, const char *namespace, uint32_t namespace_size,
                   const char *operation, uint32_t operation_size, const char *payload, uint32_t payload_size);
IMPORT(__host_response_len) uint32_t host_response_len(void);
IMPORT(__host_response) void host_response(char *to);
IMPORT(__host_error_len) uint32_t host_error_len(void);
IMPORT(__host_error) void host_error(char *to);

enum { PAGE = 65536, ALIGNMENT = 8 };

extern char __heap_base; /* set by the linker: the end of the actor's own data */

/* What one call has; set anew at the start of the next. */
static struct {
    char *free;
    Text error, link;
    bool failed;
} call;

void *take(uint32_t size) {
    char *taken = call.free;
    uint64_t end = (uint64_t)(uintptr_t)taken + (((uint64_t)size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1));
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (end > have) {
        uint64_t pages = (end - have + PAGE - 1) / PAGE;
        /* Without memory nothing sensible can be said any more: the trap is the report. */
        if (pages > 65536 || __builtin_wasm_memory_grow(0, (uint32_t)pages) == SIZE_MAX) __builtin_trap();
    }
    call.free = (char *)(uintptr_t)end;
    return taken;
}

void fail(Text why) {
    if (call.failed) return;
    call.failed = true;
    call.error = why;
}

void fail_with(Text code, Text why) { fail(text_join(text_join(code, TEXT(": ")), why)); }

bool failed(void) { return call.failed; }

Text error_take(void) {
    Text error = call.failed ? call.error : TEXT("");
    call.failed = false;
    return error;
}

bool error_is(Text code) {
    return call.failed && text_starts(call.error, code) && text_starts(text_from(call.error, code.size), TEXT(": "));
}

void use_link(Text name) { call.link = name; }

static Text ask_host(Text binding, Text namespace, Text operation, Text payload) {
    if (call.failed) return TEXT("");
    if (host_call(binding.at, binding.size, namespace.at, namespace.size, operation.at, operation.size, payload.at,
                  payload.size) != 1) {
        uint32_t size = host_error_len();
        char *error = take(size);
        host_error(error);
        fail((Text){error, size});
        return TEXT("");
    }
    uint32_t size = host_response_len();
    if (!size) return TEXT("");
    char *response = take(size);
    host_response(response);
    return (Text){response, size};
}

Text call_actor(Text key_or_alias, Text operation, Text payload) {
    return ask_host(TEXT(""), key_or_alias, operation, payload);
}

Text call_provider(Text contract, Text operation, Text payload) {
    return ask_host(call.link, contract, operation, payload);
}

Text serve_bytes(const Handler *self, Text operation, Text payload) { return self->by.bytes(operation, payload); }

__attribute__((export_name("__guest_call"))) uint32_t guest_call(uint32_t operation_size, uint32_t payload_size) {
    call.free = &__heap_base;
    call.failed = false;
    call.link = TEXT("default");
    char *name = take(operation_size);
    char *body = take(payload_size);
    guest_request(name, body);
    Text operation = {name, operation_size}, payload = {body, payload_size};

    Text reply = {0};
    const Handler *handler = actor_handlers, *end = actor_handlers + actor_handler_count;
    while (handler < end && handler->operation.size && !text_equal(handler->operation, operation)) handler++;
    if ((handler == end || !handler->operation.size) && text_equal(operation, TEXT("Actor.HealthRequest")))
        reply = TEXT("\x81\xa7healthy\xc3"); /* {"healthy": true}: it could answer */
    else if (handler < end)
        reply = handler->serve(handler, operation, payload);
    else
        fail(text_join(TEXT("this actor has no operation "), operation));
    if (call.failed) {
        guest_error(call.error.at, call.error.size);
        return 0;
    }
    guest_response(reply.at, reply.size);
    return 1;
}
