//! Keeps people: JSON in, checked, stored, and given back.
const lattice = @import("nanolattice");
const http = lattice.http;

pub const panic = lattice.panic;

const kv: lattice.KeyValue = .{};

const Person = struct { name: []const u8, age: i64 };

fn addPerson(request: *http.Request) !http.Response {
    const person = try request.json(Person); // answered 400, naming the field
    try kv.set(try lattice.join(&.{ "people:", person.name }), try lattice.json.write(person));
    return http.json(201, person);
}

fn getPerson(request: *http.Request) !http.Response {
    const key = try lattice.join(&.{ "people:", try request.param("name") });
    const person = try kv.get(key) orelse return lattice.fail(error.NotFound, "there is no such person");
    return http.json(200, lattice.json.Raw{ .text = person });
}

fn hello(_: *http.Request) !http.Response {
    return http.json(200, .{ .actor = "{{name}}" });
}

comptime {
    lattice.actor(.{ .routes = &.{
        http.get("/", hello),
        http.post("/people", addPerson),
        http.get("/people/{name}", getPerson),
    } });
}
