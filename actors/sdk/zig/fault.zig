//! Errors: a code and a message, and a Zig error by the code.
const std = @import("std");
const host = @import("host.zig");

pub const Error = error{
    // Of actors; a handler of HTTP requests that lets one through answers with the status.
    Invalid, // 400
    Unauthorized, // 401
    Forbidden, // 403
    NotFound, // 404
    Conflict, // 409
    TooLarge, // 413
    Unavailable, // 503
    Timeout, // 504
    // Of databases.
    Sql,
    // Of the host; docs/errors.md says what each means.
    NotLinked,
    NotGranted,
    Denied,
    NotAuthentic,
    TargetUnknown,
    Unreachable,
    AnswerLost,
    OperationUnknown,
    DeadlineExceeded,
    Cancelled,
    Overloaded,
    Draining,
    PayloadTooLarge,
    CallDepthExceeded,
    MalformedMessage,
    GuestError,
    GuestTrapped,
    GuestProtocol,
    ProviderError,
    ProviderUnavailable,
    HostNotAllowed,
    /// Any other code.
    Other,
    OutOfMemory,
};

/// The text on the wire, "code: message", of the error that was made last.
var text: []const u8 = "";
/// The error that it was made for; nobody returns the one it begins with.
var of: anyerror = error.None;

pub const Failure = struct { code: []const u8, message: []const u8 };

/// Code and message of the error that was returned last in this call.
pub fn failure() Failure {
    return split(text);
}

/// `return lattice.fail(error.NotFound, "there is no such person");`
pub fn fail(comptime why: Error, message: []const u8) Error {
    return failCode(comptime codeOf(@errorName(why)), message);
}

/// With a code of the actor's own.
pub fn failCode(code: []const u8, message: []const u8) Error {
    return remember(try std.mem.concat(host.allocator, u8, &.{ code, ": ", message }));
}

/// An error of the host as it came. It is handed on as it is, so that the host knows it again.
pub fn fromHost(wire: []const u8) Error {
    return remember(wire);
}

/// What the host is told of an error that an actor let through.
pub fn wireText(err: anyerror) []const u8 {
    if (of == err) return text;
    return std.mem.concat(host.allocator, u8, &.{ "error: the actor failed with error.", @errorName(err) }) catch "error: no memory";
}

pub fn reset() void {
    text = "";
    of = error.None;
}

/// The status of an answer that says so, or null: the call fails.
pub fn status(err: anyerror) ?u16 {
    return switch (err) {
        error.Invalid => 400,
        error.Unauthorized => 401,
        error.Forbidden => 403,
        error.NotFound => 404,
        error.Conflict => 409,
        error.TooLarge => 413,
        error.Unavailable => 503,
        error.Timeout => 504,
        else => null,
    };
}

/// What a visitor reads: the message, or the error's name where there was none.
pub fn visible(err: anyerror) []const u8 {
    return if (of == err) failure().message else @errorName(err);
}

fn remember(wire: []const u8) Error {
    const err = byCode(split(wire).code);
    text = wire;
    of = err;
    return err;
}

fn split(wire: []const u8) Failure {
    const at = std.mem.indexOf(u8, wire, ": ") orelse return .{ .code = "", .message = wire };
    return .{ .code = wire[0..at], .message = wire[at + 2 ..] };
}

fn byCode(code: []const u8) Error {
    inline for (@typeInfo(Error).error_set.error_names.?) |name| {
        if (std.mem.eql(u8, code, comptime codeOf(name))) return @field(Error, name);
    }
    return error.Other;
}

/// "NotLinked" to "not_linked".
fn codeOf(comptime name: []const u8) []const u8 {
    comptime {
        @setEvalBranchQuota(10_000);
        var code: []const u8 = "";
        for (name, 0..) |letter, i| {
            if (std.ascii.isUpper(letter) and i > 0) code = code ++ "_";
            code = code ++ .{std.ascii.toLower(letter)};
        }
        return code;
    }
}

test "codes" {
    try std.testing.expectEqualStrings("not_linked", comptime codeOf("NotLinked"));
    try std.testing.expectEqual(error.NotLinked, byCode("not_linked"));
    try std.testing.expectEqual(error.Other, byCode("odd"));
    try std.testing.expectEqual(error.Other, failCode("odd", "as you wish"));
    try std.testing.expectEqualStrings("odd", failure().code);
    try std.testing.expectEqualStrings("as you wish", failure().message);
    try std.testing.expectEqual(error.NotFound, fail(error.NotFound, "gone: for good"));
    try std.testing.expectEqualStrings("gone: for good", visible(error.NotFound));
    try std.testing.expectEqualStrings("Conflict", visible(error.Conflict));
}
