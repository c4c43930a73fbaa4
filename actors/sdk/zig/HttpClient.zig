//! wasmcloud:httpclient: requests that the actor makes.
const std = @import("std");
const host = @import("host.zig");
const http = @import("http.zig");
const msgpack = @import("msgpack.zig");
const Error = @import("fault.zig").Error;

const HttpClient = @This();

link: []const u8 = "default",

pub const Options = struct {
    method: []const u8 = "GET",
    headers: []const http.Header = &.{},
    body: []const u8 = "",
};

pub const Answer = struct {
    statusCode: u16,
    header: http.Headers,
    body: []const u8,
};

pub fn fetch(client: HttpClient, url: []const u8, options: Options) Error!Answer {
    var out: std.ArrayList(u8) = .empty;
    try msgpack.writeMap(&out, 4);
    inline for (.{ "method", options.method, "url", url, "headers" }) |text| try msgpack.write(&out, @as([]const u8, text));
    try http.writeHeaders(&out, options.headers);
    try msgpack.write(&out, "body");
    try msgpack.write(&out, msgpack.Bytes{ .bytes = options.body });
    return msgpack.decode(Answer, try host.call(client.link, "wasmcloud:httpclient", "HttpClient.Request", out.items));
}
