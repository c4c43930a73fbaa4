//! wasmcloud:httpserver: requests to the actor.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const json_ = @import("json.zig");
const msgpack = @import("msgpack.zig");

const Error = fault.Error;

/// A map from names in lower case to lists of values, read when it is asked.
pub const Headers = struct {
    raw: []const u8 = "\x80",

    /// The first value.
    pub fn get(headers: Headers, name: []const u8) ?[]const u8 {
        return headers.find(name) catch null;
    }

    fn find(headers: Headers, name: []const u8) msgpack.Reader.Fault!?[]const u8 {
        var reader: msgpack.Reader = .{ .left = headers.raw };
        var pairs = try reader.map();
        while (pairs > 0) : (pairs -= 1) {
            const found = std.mem.eql(u8, try reader.text(), name);
            var values = try reader.array();
            while (values > 0) : (values -= 1) {
                const value = try reader.text();
                if (found) return value;
            }
        }
        return null;
    }

    pub fn readMsgpack(reader: *msgpack.Reader) msgpack.Reader.Fault!Headers {
        const before = reader.left;
        try reader.skip();
        return .{ .raw = before[0 .. before.len - reader.left.len] };
    }
};

pub const Request = struct {
    method: []const u8,
    path: []const u8,
    /// The query as it came, without its "?".
    queryString: []const u8,
    header: Headers,
    body: []const u8,
    pattern: []const u8 = "",

    /// The body read into a struct.
    pub fn json(request: *const Request, comptime T: type) Error!T {
        return json_.read(T, request.body);
    }

    /// What stands in the path for {name}, percent-decoded. The route has to have it.
    pub fn param(request: *const Request, name: []const u8) Error![]const u8 {
        var value: []const u8 = undefined;
        if (try fits(request.pattern, request.path, name, &value)) return value;
        @panic("the route has no such parameter");
    }

    /// A value of the query, percent-decoded.
    pub fn query(request: *const Request, name: []const u8) Error!?[]const u8 {
        var pairs = std.mem.splitScalar(u8, request.queryString, '&');
        while (pairs.next()) |pair| {
            const at = std.mem.indexOfScalar(u8, pair, '=') orelse pair.len;
            if (!std.mem.eql(u8, try decoded(pair[0..at], true), name)) continue;
            return try decoded(pair[@min(at + 1, pair.len)..], true);
        }
        return null;
    }

    /// The first value of a header; the name in lower case.
    pub fn headerValue(request: *const Request, name: []const u8) ?[]const u8 {
        return request.header.get(name);
    }
};

pub const Header = struct { name: []const u8, value: []const u8 };

pub const Response = struct {
    status: u16 = 200,
    headers: []const Header = &.{},
    body: []const u8 = "",

    /// The same with one more header.
    pub fn with(response: Response, name: []const u8, value: []const u8) Error!Response {
        var changed = response;
        changed.headers = try std.mem.concat(host.allocator, Header, &.{ response.headers, &.{.{ .name = name, .value = value }} });
        return changed;
    }
};

/// A value as JSON; `json.Raw` is what is JSON already.
pub fn json(status: u16, value: anytype) Error!Response {
    return typed(status, "application/json", try json_.write(value));
}

pub fn text(status: u16, body: []const u8) Error!Response {
    return typed(status, "text/plain; charset=utf-8", body);
}

pub fn html(status: u16, body: []const u8) Error!Response {
    return typed(status, "text/html; charset=utf-8", body);
}

/// {"error": why}
pub fn refusal(status: u16, why: []const u8) Error!Response {
    return json(status, .{ .@"error" = why });
}

fn typed(status: u16, content_type: []const u8, body: []const u8) Error!Response {
    return (Response{ .status = status, .body = body }).with("content-type", content_type);
}

// ---- routes

pub const Route = struct {
    method: []const u8,
    pattern: []const u8,
    serve: *const fn (*Request) anyerror!Response,
};

/// Any method. `handler` is a `fn (*http.Request) !http.Response`, and {name} in the pattern one part of a path.
pub fn route(comptime method: []const u8, comptime pattern: []const u8, comptime handler: anytype) Route {
    const wrapped = struct {
        fn serve(request: *Request) anyerror!Response {
            return handler(request);
        }
    };
    return .{ .method = method, .pattern = pattern, .serve = wrapped.serve };
}

pub fn get(comptime pattern: []const u8, comptime handler: anytype) Route {
    return route("GET", pattern, handler);
}

pub fn post(comptime pattern: []const u8, comptime handler: anytype) Route {
    return route("POST", pattern, handler);
}

pub fn put(comptime pattern: []const u8, comptime handler: anytype) Route {
    return route("PUT", pattern, handler);
}

pub fn delete(comptime pattern: []const u8, comptime handler: anytype) Route {
    return route("DELETE", pattern, handler);
}

/// Every path and method: for the last place of the routes.
pub fn otherwise(comptime handler: anytype) Route {
    return route("", "", handler);
}

pub fn serve(routes: []const Route, payload: []const u8) anyerror![]const u8 {
    var request = try msgpack.decode(Request, payload);
    const response = answer(routes, &request) catch |err|
        try refusal(fault.status(err) orelse return err, fault.visible(err));
    return encoded(response);
}

fn answer(routes: []const Route, request: *Request) anyerror!Response {
    if (!std.unicode.utf8ValidateSlice(try decoded(request.path, false))) return refusal(400, "the path is not UTF-8");
    var allowed: []const u8 = "";
    for (routes) |candidate| {
        const any = candidate.method.len == 0 and allowed.len == 0;
        if (!any and !try fits(candidate.pattern, request.path, "", null)) continue;
        if (any or std.mem.eql(u8, candidate.method, request.method)) {
            request.pattern = candidate.pattern;
            return candidate.serve(request);
        }
        const comma = if (allowed.len > 0) ", " else "";
        allowed = try std.mem.concat(host.allocator, u8, &.{ allowed, comma, candidate.method });
    }
    if (allowed.len == 0) return refusal(404, "there is nothing here");
    return (try refusal(405, "this method is not answered here")).with("allow", allowed);
}

/// Goes through pattern and path side by side. With a `name`, whether the pattern has it, and its value.
fn fits(pattern: []const u8, path: []const u8, name: []const u8, value: ?*[]const u8) Error!bool {
    var pieces = std.mem.splitScalar(u8, pattern, '/');
    var parts = std.mem.splitScalar(u8, path, '/');
    while (pieces.next()) |piece| {
        const part = try decoded(parts.next() orelse return false, false);
        const is_parameter = piece.len > 2 and piece[0] == '{';
        if (if (is_parameter) part.len == 0 else !std.mem.eql(u8, piece, part)) return false;
        if (is_parameter and value != null and std.mem.eql(u8, piece[1 .. piece.len - 1], name)) {
            value.?.* = part;
            return true;
        }
    }
    return value == null and parts.next() == null;
}

fn decoded(coded: []const u8, plus_is_space: bool) Error![]const u8 {
    if (std.mem.indexOfAny(u8, coded, "%+") == null) return coded;
    const result = try host.allocator.alloc(u8, coded.len);
    var size: usize = 0;
    var i: usize = 0;
    while (i < coded.len) : (i += 1) {
        result[size] = if (plus_is_space and coded[i] == '+') ' ' else coded[i];
        if (coded[i] == '%' and coded.len - i > 2) {
            if (hex(coded[i + 1 ..][0..2])) |byte| {
                result[size] = byte;
                i += 2;
            }
        }
        size += 1;
    }
    return result[0..size];
}

fn hex(digits: *const [2]u8) ?u8 {
    const high = std.fmt.charToDigit(digits[0], 16) catch return null;
    const low = std.fmt.charToDigit(digits[1], 16) catch return null;
    return high << 4 | low;
}

fn encoded(response: Response) Error![]const u8 {
    var out: std.ArrayList(u8) = .empty;
    try msgpack.writeMap(&out, 3);
    try msgpack.write(&out, "statusCode");
    try msgpack.write(&out, response.status);
    try msgpack.write(&out, "header");
    try writeHeaders(&out, response.headers);
    try msgpack.write(&out, "body");
    try msgpack.write(&out, msgpack.Bytes{ .bytes = response.body });
    return out.items;
}

pub fn writeHeaders(out: *std.ArrayList(u8), headers: []const Header) Error!void {
    try msgpack.writeMap(out, headers.len);
    for (headers) |header| {
        try msgpack.write(out, header.name);
        try msgpack.write(out, @as([]const []const u8, &.{header.value}));
    }
}

const testing = std.testing;

test "paths and patterns" {
    try testing.expect(try fits("/people/{name}", "/people/a%20b", "", null));
    var value: []const u8 = undefined;
    try testing.expect(try fits("/people/{name}", "/people/a%20b+c%2f", "name", &value));
    try testing.expectEqualStrings("a b+c/", value);
    for ([_][]const u8{ "/people", "/people/", "/people/a/b", "/other/a", "" }) |path|
        try testing.expect(!try fits("/people/{name}", path, "", null));
    try testing.expect(!try fits("/people/{name}", "/people/a", "nome", &value));
}

test "queries" {
    const request: Request = .{ .method = "GET", .path = "/", .queryString = "x=1&na%6de=a+b%2B%&last", .header = .{}, .body = "" };
    try testing.expectEqualStrings("a b+%", (try request.query("name")).?);
    try testing.expectEqualStrings("", (try request.query("last")).?);
    try testing.expectEqual(null, try request.query("none"));
}

test "headers" {
    const headers: Headers = .{ .raw = "\x82\xa1a\x92\xa11\xa12\xa1b\x91\xa13" };
    try testing.expectEqualStrings("1", headers.get("a").?);
    try testing.expectEqualStrings("3", headers.get("b").?);
    try testing.expectEqual(null, headers.get("c"));
    try testing.expectEqual(null, (Headers{ .raw = "\x85" }).get("c"));
}
