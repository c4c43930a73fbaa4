//! The waPC imports, and the memory of one call.
const std = @import("std");
const builtin = @import("builtin");
const fault = @import("fault.zig");

const wapc = struct {
    extern "wapc" fn __guest_request(operation: [*]u8, payload: [*]u8) void;
    extern "wapc" fn __guest_response(at: [*]const u8, size: usize) void;
    extern "wapc" fn __guest_error(at: [*]const u8, size: usize) void;
    extern "wapc" fn __host_call(
        binding: [*]const u8,
        binding_size: usize,
        namespace: [*]const u8,
        namespace_size: usize,
        operation: [*]const u8,
        operation_size: usize,
        payload: [*]const u8,
        payload_size: usize,
    ) u32;
    extern "wapc" fn __host_response_len() usize;
    extern "wapc" fn __host_response(to: [*]u8) void;
    extern "wapc" fn __host_error_len() usize;
    extern "wapc" fn __host_error(to: [*]u8) void;
    extern "wapc" fn __console_log(at: [*]const u8, size: usize) void;
};

pub const Request = struct { operation: []u8, payload: []u8 };

/// The call that the host makes.
pub fn request(operation_size: usize, payload_size: usize) error{OutOfMemory}!Request {
    const operation = try allocator.alloc(u8, operation_size);
    const payload = try allocator.alloc(u8, payload_size);
    wapc.__guest_request(operation.ptr, payload.ptr);
    return .{ .operation = operation, .payload = payload };
}

pub fn respond(reply: []const u8) void {
    wapc.__guest_response(reply.ptr, reply.len);
}

pub fn refuse(why: []const u8) void {
    wapc.__guest_error(why.ptr, why.len);
}

/// Calls a provider (`namespace` is its contract) along the link `binding`, or an actor with none.
pub fn call(
    binding: []const u8,
    namespace: []const u8,
    operation: []const u8,
    payload: []const u8,
) fault.Error![]const u8 {
    if (wapc.__host_call(
        binding.ptr,
        binding.len,
        namespace.ptr,
        namespace.len,
        operation.ptr,
        operation.len,
        payload.ptr,
        payload.len,
    ) != 1) {
        const text = try allocator.alloc(u8, wapc.__host_error_len());
        wapc.__host_error(text.ptr);
        return fault.fromHost(text);
    }
    const reply = try allocator.alloc(u8, wapc.__host_response_len());
    if (reply.len > 0) wapc.__host_response(reply.ptr);
    return reply;
}

pub fn panicked(message: []const u8, _: ?usize) noreturn {
    wapc.__console_log(message.ptr, message.len);
    @trap();
}

// ---- memory

/// Memory of one call. In tests outside of WebAssembly it is that of the process.
pub const allocator: std.mem.Allocator = if (builtin.cpu.arch.isWasm())
    .{ .ptr = undefined, .vtable = &.{ .alloc = alloc, .resize = resize, .remap = remap, .free = free } }
else
    std.heap.page_allocator;

extern var __heap_base: u8;
var next: usize = 0;

/// What earlier calls had is free again.
pub fn reset() void {
    next = @intFromPtr(&__heap_base);
}

fn alloc(_: *anyopaque, len: usize, alignment: std.mem.Alignment, _: usize) ?[*]u8 {
    const start = alignment.forward(next);
    if (!reach(start, len)) return null;
    return @ptrFromInt(start);
}

/// Makes `next` the end of `len` bytes from `start`.
fn reach(start: usize, len: usize) bool {
    const page = std.wasm.page_size;
    const have = @wasmMemorySize(0) * page;
    const end = std.math.add(usize, start, len) catch return false;
    if (end > have and @wasmMemoryGrow(0, (end - have + page - 1) / page) < 0) return false;
    next = end;
    return true;
}

/// The last thing that was taken can grow where it is, which is what lists that are written to do.
fn resize(_: *anyopaque, memory: []u8, _: std.mem.Alignment, new_len: usize, _: usize) bool {
    const start = @intFromPtr(memory.ptr);
    if (start + memory.len == next) return reach(start, new_len);
    return new_len <= memory.len;
}

fn remap(context: *anyopaque, memory: []u8, alignment: std.mem.Alignment, new_len: usize, place: usize) ?[*]u8 {
    return if (resize(context, memory, alignment, new_len, place)) memory.ptr else null;
}

fn free(_: *anyopaque, memory: []u8, _: std.mem.Alignment, _: usize) void {
    const start = @intFromPtr(memory.ptr);
    if (start + memory.len == next) next = start;
}
