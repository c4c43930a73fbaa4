/* Keeps people: JSON in, checked, stored, and given back. */
#include "lattice.h"

typedef struct {
    Text name;
    int64_t age;
} Person;
static const Field person_fields[] = {FIELD(Person, name), FIELD(Person, age)};

static void add_person(const HttpRequest *request, HttpReply *reply) {
    Person person;
    if (!json_read(request->body, person_fields, &person)) return; /* answered 400, naming the field */
    kv_set(text_join(TEXT("people:"), person.name), json_write(person_fields, &person), 0);
    reply_record(reply, 201, person_fields, &person);
}

static void get_person(const HttpRequest *request, HttpReply *reply) {
    bool exists;
    Text person = kv_get(text_join(TEXT("people:"), http_param(request, TEXT("name"))), &exists);
    if (!exists) fail_with(TEXT("not_found"), TEXT("there is no such person"));
    reply_json_text(reply, 200, person);
}

typedef struct {
    Text actor;
} Hello;
static const Field hello_fields[] = {FIELD(Hello, actor)};

static void hello(const HttpRequest *request, HttpReply *reply) {
    (void)request;
    Hello hello = {TEXT("{{name}}")};
    reply_record(reply, 200, hello_fields, &hello);
}

ACTOR(ROUTE("GET", "/", hello), ROUTE("POST", "/people", add_person), ROUTE("GET", "/people/{name}", get_person))
