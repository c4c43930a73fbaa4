//! wasmcloud:blobstore: objects in containers.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const msgpack = @import("msgpack.zig");

const Blobstore = @This();
const Error = fault.Error;

link: []const u8 = "default",

/// Bytes asked for at once: a reply far below every payload limit.
const piece_bytes = 256 * 1024;

pub const Object = struct {
    bytes: []const u8,
    content_type: ?[]const u8,
};

const Chunk = struct { bytes: []const u8 };

const Piece = struct {
    success: bool,
    initialChunk: ?Chunk = null,
    contentLength: u64 = 0,
    contentType: ?[]const u8 = null,

    fn bytes(piece: Piece) []const u8 {
        return if (piece.initialChunk) |chunk| chunk.bytes else "";
    }
};

/// Fine when it is there.
pub fn createContainer(store: Blobstore, container: []const u8) Error!void {
    if (!try store.ask(bool, "Blobstore.ContainerExists", container)) try store.ask(void, "Blobstore.CreateContainer", container);
}

pub fn put(store: Blobstore, container: []const u8, object: []const u8, content_type: []const u8, bytes: []const u8) Error!void {
    const chunk = .{
        .objectId = object,
        .containerId = container,
        .bytes = msgpack.Bytes{ .bytes = bytes },
        .offset = 0,
        .isLast = true,
    };
    _ = try store.ask(struct {}, "Blobstore.PutObject", .{ .chunk = chunk, .contentType = content_type });
}

/// The whole object, or null.
pub fn get(store: Blobstore, container: []const u8, object: []const u8) Error!?Object {
    const first = try store.read(container, object, 0);
    if (!first.success) return null;
    const have = first.bytes();
    if (first.contentLength < piece_bytes and first.contentLength == have.len)
        return .{ .bytes = have, .content_type = first.contentType };
    const info = try store.ask(
        struct { contentLength: u64 },
        "Blobstore.GetObjectInfo",
        .{ .containerId = container, .objectId = object },
    );
    const size = std.math.cast(usize, info.contentLength) orelse return error.OutOfMemory;
    var all: std.ArrayList(u8) = try .initCapacity(host.allocator, size);
    try all.appendSlice(host.allocator, have);
    while (all.items.len < size) {
        const next = (try store.read(container, object, all.items.len)).bytes();
        if (next.len == 0) return fault.fail(error.ProviderError, "the object became shorter while it was read");
        try all.appendSlice(host.allocator, next);
    }
    return .{ .bytes = all.items, .content_type = first.contentType };
}

fn read(store: Blobstore, container: []const u8, object: []const u8, start: usize) Error!Piece {
    const end = start + piece_bytes - 1;
    return store.ask(Piece, "Blobstore.GetObject", .{
        .objectId = object,
        .containerId = container,
        .rangeStart = @as(i64, @intCast(start)),
        .rangeEnd = @as(i64, @intCast(end)),
    });
}

pub fn delete(store: Blobstore, container: []const u8, object: []const u8) Error!void {
    _ = try store.ask(
        []const struct { key: []const u8 },
        "Blobstore.RemoveObjects",
        .{ .containerId = container, .objects = @as([]const []const u8, &.{object}) },
    );
}

/// The names of its objects that begin with `prefix`, in order.
pub fn list(store: Blobstore, container: []const u8, prefix: []const u8) Error![]const []const u8 {
    const Page = struct {
        objects: []const struct { objectId: []const u8 },
        isLast: bool,
        continuation: ?[]const u8 = null,
    };
    var names: std.ArrayList([]const u8) = .empty;
    var continuation: ?[]const u8 = null;
    while (true) {
        const page = try store.ask(
            Page,
            "Blobstore.ListObjects",
            .{ .containerId = container, .startWith = prefix, .continuation = continuation },
        );
        for (page.objects) |object| try names.append(host.allocator, object.objectId);
        if (page.isLast or page.continuation == null) return names.items;
        continuation = page.continuation;
    }
}

fn ask(store: Blobstore, comptime Reply: type, operation: []const u8, message: anytype) Error!Reply {
    const reply = try host.call(store.link, "wasmcloud:blobstore", operation, try msgpack.encode(message));
    return msgpack.decode(Reply, reply);
}
