//! What every SDK can do, for tests/sdk/test_conformance.py. actors/sdk/README.md says what each route does.
const std = @import("std");
const lattice = @import("nanolattice");
const http = lattice.http;

const kv: lattice.KeyValue = .{};
const messages: lattice.Messaging = .{};
const blobs: lattice.Blobstore = .{};
const sql: lattice.Sql = .{};
const client: lattice.HttpClient = .{};

// ---- requests, records

fn hello(request: *http.Request) !http.Response {
    return http.json(200, .{ .hello = try request.query("name") orelse "world" });
}

fn echo(request: *http.Request) !http.Response {
    return (try http.text(202, request.body)).with("x-echo", request.headerValue("x-echo") orelse "");
}

const Person = struct { name: []const u8, age: i64 };

fn addPerson(request: *http.Request) !http.Response {
    const person = try request.json(Person);
    if (person.age < 0) return lattice.fail(error.Invalid, "\"age\" must not be negative");
    try kv.set(try lattice.join(&.{ "people:", person.name }), try lattice.json.write(person));
    return http.json(201, person);
}

fn getPerson(request: *http.Request) !http.Response {
    const key = try lattice.join(&.{ "people:", try request.param("name") });
    const person = try kv.get(key) orelse return lattice.fail(error.NotFound, "there is no such person");
    return http.json(200, lattice.json.Raw{ .text = person });
}

const Everything = struct {
    text: []const u8,
    whole: i64,
    number: f64,
    truth: bool,
    list: []const []const u8,
    maybe: ?[]const u8 = null,
    any: ?lattice.json.Raw = null,
};

fn everything(request: *http.Request) !http.Response {
    return http.json(200, try request.json(Everything));
}

fn failAsTold(request: *http.Request) !http.Response {
    return lattice.failCode(try request.query("code") orelse "", "as you wish");
}

// ---- key-value

const Op = enum { get, set, delete, contains, increment, @"list-add", @"list-range", @"list-remove", @"set-add", @"set-remove", @"set-members" };

fn keyValue(request: *http.Request) !http.Response {
    const asked = try request.json(struct { key: []const u8, value: ?[]const u8 = null, by: i32 = 1 });
    const op = std.meta.stringToEnum(Op, try request.param("op")) orelse
        return lattice.fail(error.NotFound, "there is no such operation");
    const key = asked.key;
    const value = asked.value orelse switch (op) {
        .set, .@"list-add", .@"list-remove", .@"set-add", .@"set-remove" => return lattice.fail(error.Invalid, "\"value\" is missing"),
        else => "",
    };
    return switch (op) {
        .get => http.json(200, .{ .value = try kv.get(key) }),
        .set => {
            try kv.set(key, value);
            return http.json(200, .{});
        },
        .delete => http.json(200, .{ .value = try kv.delete(key) }),
        .contains => http.json(200, .{ .value = try kv.contains(key) }),
        .increment => http.json(200, .{ .value = try kv.increment(key, asked.by) }),
        .@"list-add" => http.json(200, .{ .value = try kv.listAdd(key, value) }),
        .@"list-range" => http.json(200, .{ .value = try kv.listRange(key, 0, -1) }),
        .@"list-remove" => http.json(200, .{ .value = try kv.listRemove(key, value) }),
        .@"set-add" => http.json(200, .{ .value = try kv.setAdd(key, value) }),
        .@"set-remove" => http.json(200, .{ .value = try kv.setRemove(key, value) }),
        .@"set-members" => http.json(200, .{ .value = try kv.setMembers(key) }),
    };
}

fn getVia(request: *http.Request) !http.Response {
    const store: lattice.KeyValue = .{ .link = try request.query("link") orelse "default" };
    return http.json(200, .{ .value = try store.get(try request.query("key") orelse "") });
}

fn setVia(request: *http.Request) !http.Response {
    const asked = try request.json(struct { link: []const u8, key: []const u8, value: []const u8 });
    const store: lattice.KeyValue = .{ .link = asked.link };
    try store.set(asked.key, asked.value);
    return http.json(200, .{});
}

// ---- messages, timers, actors

const Told = struct { subject: []const u8, body: []const u8 };

fn publish(request: *http.Request) !http.Response {
    const told = try request.json(Told);
    try messages.publish(told.subject, told.body);
    return http.json(200, .{});
}

fn ask(request: *http.Request) !http.Response {
    const told = try request.json(Told);
    const reply = try messages.request(told.subject, told.body, 2000);
    return http.json(200, .{ .body = reply.body });
}

fn reverse(payload: []const u8) ![]const u8 {
    const result = try lattice.allocator.dupe(u8, payload);
    std.mem.reverse(u8, result);
    return result;
}

fn hear(message: lattice.messaging.Message) !void {
    if (message.replyTo) |reply_to| return messages.publish(reply_to, try reverse(message.body));
    try kv.set(try lattice.join(&.{ "message:", message.subject }), message.body);
}

fn tick(beat: lattice.cron.Tick) !void {
    _ = try kv.increment(try lattice.join(&.{ "tick:", beat.timer }), 1);
}

fn callActor(request: *http.Request) !http.Response {
    const asked = try request.json(struct { actor: []const u8, operation: []const u8, body: []const u8 });
    return http.json(200, .{ .body = try lattice.call(asked.actor, asked.operation, asked.body) });
}

// ---- blobs, SQL, HTTP

fn blob(request: *http.Request) !http.Response {
    const asked = try request.json(struct { container: []const u8, name: []const u8 = "", text: []const u8 = "" });
    switch (std.meta.stringToEnum(enum { put, get, delete, list, other }, try request.param("op")) orelse .other) {
        .put => {
            try blobs.createContainer(asked.container);
            try blobs.put(asked.container, asked.name, "text/plain", asked.text);
            return http.json(200, .{});
        },
        .get => {
            const object = try blobs.get(asked.container, asked.name) orelse
                return lattice.fail(error.NotFound, "there is no such object");
            return http.json(200, .{ .text = object.bytes });
        },
        .delete => {
            try blobs.delete(asked.container, asked.name);
            return http.json(200, .{});
        },
        .list => return http.json(200, .{ .names = try blobs.list(asked.container, "") }),
        .other => return lattice.fail(error.NotFound, "there is no such operation"),
    }
}

const Statement = struct { statement: []const u8, text: ?[]const u8 = null, whole: i64 = 0, number: f64 = 0 };

fn execute(request: *http.Request) !http.Response {
    const asked = try request.json(Statement);
    const affected = if (asked.text) |text|
        try sql.execute(asked.statement, .{ text, asked.whole, asked.number })
    else
        try sql.execute(asked.statement, .{});
    return http.json(200, .{ .affected = affected });
}

fn query(request: *http.Request) !http.Response {
    const asked = try request.json(Statement);
    const found = if (asked.text) |text|
        try sql.table(asked.statement, .{ text, asked.whole, asked.number })
    else
        try sql.table(asked.statement, .{});
    return http.json(200, found);
}

fn fetch(request: *http.Request) !http.Response {
    const asked = try request.json(struct { url: []const u8 });
    const answer = try client.fetch(asked.url, .{});
    return http.json(200, .{ .status = answer.statusCode, .body = answer.body });
}

// ---- time, random numbers, log

fn now(_: *http.Request) !http.Response {
    return http.json(200, .{ .now = lattice.time.nowMs() });
}

fn random(_: *http.Request) !http.Response {
    return http.json(200, .{ .random = try lattice.random.int(), .guid = try lattice.random.guid() });
}

fn log(request: *http.Request) !http.Response {
    const asked = try request.json(struct { level: lattice.log.Level, message: []const u8 });
    try lattice.log.at(asked.level, asked.message);
    return http.json(200, .{});
}

comptime {
    lattice.actor(.{
        .routes = &.{
            http.get("/hello", hello),
            http.post("/echo", echo),
            http.post("/people", addPerson),
            http.get("/people/{name}", getPerson),
            http.post("/everything", everything),
            http.get("/fail", failAsTold),
            http.post("/kv/{op}", keyValue),
            http.get("/via", getVia),
            http.post("/via", setVia),
            http.post("/publish", publish),
            http.post("/request", ask),
            http.post("/call", callActor),
            http.post("/blobs/{op}", blob),
            http.post("/sql/execute", execute),
            http.post("/sql/query", query),
            http.post("/fetch", fetch),
            http.get("/now", now),
            http.get("/random", random),
            http.post("/log", log),
        },
        .messages = &.{lattice.messaging.on("in.>", hear)},
        .timers = &.{lattice.cron.on("*", tick)},
        .operations = &.{lattice.on("Conformance.Reverse", reverse)},
    });
}
