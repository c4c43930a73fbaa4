//! Takes texts as jobs, counts their words, keeps and publishes the results.
const std = @import("std");
const lattice = @import("nanolattice");
const http = lattice.http;

pub const panic = lattice.panic;

const kv: lattice.KeyValue = .{};
const messages: lattice.Messaging = .{};
const blobs: lattice.Blobstore = .{};

fn countWords(text: []const u8) usize {
    var words = std.mem.tokenizeAny(u8, text, &std.ascii.whitespace);
    var count: usize = 0;
    while (words.next() != null) count += 1;
    return count;
}

fn work(message: lattice.messaging.Message) !void {
    const id = message.subject["jobs.".len..];
    const words = try lattice.json.write(countWords(message.body));
    try kv.set(try lattice.join(&.{ "words:", id }), words);
    try blobs.createContainer("results");
    try blobs.put("results", id, "text/plain", try lattice.join(&.{ words, " words" }));
    try messages.publish(try lattice.join(&.{ "done.", id }), words);
}

fn addJob(request: *http.Request) !http.Response {
    const id = try request.param("id");
    try messages.publish(try lattice.join(&.{ "jobs.", id }), request.body);
    return http.json(202, .{ .id = id });
}

fn getJob(request: *http.Request) !http.Response {
    const id = try request.param("id");
    const words = try kv.get(try lattice.join(&.{ "words:", id })) orelse
        return lattice.fail(error.NotFound, "no such job is done");
    return http.json(200, .{ .id = id, .words = lattice.json.Raw{ .text = words } });
}

comptime {
    lattice.actor(.{
        .routes = &.{ http.post("/jobs/{id}", addJob), http.get("/jobs/{id}", getJob) },
        .messages = &.{lattice.messaging.on("jobs.*", work)},
    });
}
