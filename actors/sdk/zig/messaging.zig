//! wasmcloud:messaging: publish, request a reply, handle what arrives.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const msgpack = @import("msgpack.zig");

const Error = fault.Error;

pub const Message = struct {
    subject: []const u8,
    /// Where a reply is awaited; null when nobody waits.
    replyTo: ?[]const u8 = null,
    body: []const u8,
};

pub const Messaging = struct {
    link: []const u8 = "default",

    pub fn publish(messaging: Messaging, subject: []const u8, body: []const u8) Error!void {
        return messaging.ask(void, "Messaging.Publish", .{ .subject = subject, .body = msgpack.Bytes{ .bytes = body } });
    }

    /// Whoever gets it may answer to `reply_to`.
    pub fn publishWithReply(messaging: Messaging, subject: []const u8, reply_to: []const u8, body: []const u8) Error!void {
        return messaging.ask(void, "Messaging.Publish", .{
            .subject = subject,
            .replyTo = reply_to,
            .body = msgpack.Bytes{ .bytes = body },
        });
    }

    /// Publishes and waits for a reply.
    pub fn request(messaging: Messaging, subject: []const u8, body: []const u8, timeout_ms: u32) Error!Message {
        return messaging.ask(Message, "Messaging.Request", .{
            .subject = subject,
            .body = msgpack.Bytes{ .bytes = body },
            .timeoutMs = timeout_ms,
        });
    }

    fn ask(messaging: Messaging, comptime Reply: type, operation: []const u8, message: anytype) Error!Reply {
        const reply = try host.call(messaging.link, "wasmcloud:messaging", operation, try msgpack.encode(message));
        return msgpack.decode(Reply, reply);
    }
};

pub const Subscription = struct {
    pattern: []const u8,
    serve: *const fn (Message) anyerror!void,
};

/// `*` is one word of a subject, a final `>` one or more. `handler` is a `fn (messaging.Message) !void`.
pub fn on(comptime pattern: []const u8, comptime handler: anytype) Subscription {
    const wrapped = struct {
        fn serve(message: Message) anyerror!void {
            return handler(message);
        }
    };
    return .{ .pattern = pattern, .serve = wrapped.serve };
}

pub fn serve(subscriptions: []const Subscription, payload: []const u8) anyerror![]const u8 {
    const message = try msgpack.decode(Message, payload);
    for (subscriptions) |subscription| {
        if (!fits(subscription.pattern, message.subject)) continue;
        try subscription.serve(message);
        return "";
    }
    const why = &.{ "this actor has no handler for the subject ", message.subject };
    return fault.failCode("operation_unknown", try std.mem.concat(host.allocator, u8, why));
}

fn fits(pattern: []const u8, subject: []const u8) bool {
    var pieces = std.mem.splitScalar(u8, pattern, '.');
    var words = std.mem.splitScalar(u8, subject, '.');
    while (pieces.next()) |piece| {
        if (std.mem.eql(u8, piece, ">") and pieces.peek() == null) return words.rest().len > 0;
        const word = words.next() orelse return false;
        if (!std.mem.eql(u8, piece, "*") and !std.mem.eql(u8, piece, word)) return false;
    }
    return words.next() == null;
}

test "subjects" {
    const testing = std.testing;
    for ([_][]const u8{ "in.>", "in.*.b", ">", "in.a.b", "*.a.>" }) |pattern| try testing.expect(fits(pattern, "in.a.b"));
    for ([_][]const u8{ "in.*", "in", "in.a.b.>", "in.a.b.*", "*", "out.>" }) |pattern| try testing.expect(!fits(pattern, "in.a.b"));
}
