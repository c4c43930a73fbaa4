//! The one export: which handler an operation goes to.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const http = @import("http.zig");
const messaging = @import("messaging.zig");
const cron = @import("cron.zig");

pub const Operation = struct {
    name: []const u8,
    serve: *const fn (payload: []const u8) anyerror![]const u8,
};

/// What an actor answers. Of routes and subjects the first that fits counts.
pub const Handlers = struct {
    routes: []const http.Route = &.{},
    messages: []const messaging.Subscription = &.{},
    timers: []const cron.Timer = &.{},
    operations: []const Operation = &.{},
};

pub fn on(comptime name: []const u8, comptime serve: anytype) Operation {
    const wrapped = struct {
        fn answer(payload: []const u8) anyerror![]const u8 {
            return serve(payload);
        }
    };
    return .{ .name = name, .serve = wrapped.answer };
}

pub fn actor(comptime handlers: Handlers) void {
    const exported = struct {
        fn guestCall(operation_size: usize, payload_size: usize) callconv(.c) u32 {
            host.reset();
            fault.reset();
            const reply = answer(operation_size, payload_size) catch |err| {
                host.refuse(fault.wireText(err));
                return 0;
            };
            host.respond(reply);
            return 1;
        }

        fn answer(operation_size: usize, payload_size: usize) anyerror![]const u8 {
            const request = try host.request(operation_size, payload_size);
            for (handlers.operations) |operation| {
                if (std.mem.eql(u8, operation.name, request.operation)) return operation.serve(request.payload);
            }
            if (handlers.routes.len > 0 and std.mem.eql(u8, request.operation, "HttpServer.HandleRequest"))
                return http.serve(handlers.routes, request.payload);
            if (handlers.messages.len > 0 and std.mem.eql(u8, request.operation, "MessageSubscriber.HandleMessage"))
                return messaging.serve(handlers.messages, request.payload);
            if (handlers.timers.len > 0 and std.mem.eql(u8, request.operation, "Cron.HandleTick"))
                return cron.serve(handlers.timers, request.payload);
            if (std.mem.eql(u8, request.operation, "Actor.HealthRequest"))
                return "\x81\xa7healthy\xc3"; // {"healthy": true}: it could answer
            return fault.failCode("operation_unknown", try std.mem.concat(
                host.allocator,
                u8,
                &.{ "this actor has no operation ", request.operation },
            ));
        }
    };
    @export(&exported.guestCall, .{ .name = "__guest_call" });
}
