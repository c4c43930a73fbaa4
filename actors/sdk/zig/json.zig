//! JSON to and from structs. What does not fit is `error.Invalid`, with a message that names the member.
//!
//! Fields are `[]const u8` (texts), integers, floats, bools, enums (by name), optionals, slices, structs and `Raw`. A field
//! with a default may be missing; an optional may be missing or null. Members that the struct has not are passed over.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");

const Error = fault.Error;

/// Any value, as it is written: `read` reads it further.
pub const Raw = struct {
    text: []const u8,
};

/// Values nested deeper are refused.
pub const nesting_max = 64;

pub fn read(comptime T: type, text: []const u8) Error!T {
    if (!std.unicode.utf8ValidateSlice(text)) return invalid("", "this is not JSON");
    // Once over all of it, so that a mistake in the text is told before what does not fit.
    var whole: Scanner = .{ .text = text };
    whole.skip(0) catch return invalid("", "this is not JSON");
    if (whole.next() != null) return invalid("", "this is not JSON");
    var scanner: Scanner = .{ .text = text };
    return scanner.value(T, "");
}

fn invalid(name: []const u8, what: []const u8) Error {
    const quote = if (name.len > 0) "\"" else "";
    return fault.fail(error.Invalid, try std.mem.concat(host.allocator, u8, &.{ quote, name, quote, what }));
}

const Scanner = struct {
    text: []const u8,
    at: usize = 0,

    const Malformed = error{Malformed};

    /// The next character that is no white space.
    fn next(scanner: *Scanner) ?u8 {
        while (scanner.at < scanner.text.len) : (scanner.at += 1) switch (scanner.text[scanner.at]) {
            ' ', '\t', '\n', '\r' => {},
            else => |found| return found,
        };
        return null;
    }

    fn accept(scanner: *Scanner, wanted: u8) bool {
        if (scanner.next() != wanted) return false;
        scanner.at += 1;
        return true;
    }

    fn expect(scanner: *Scanner, wanted: u8) Malformed!void {
        if (!scanner.accept(wanted)) return error.Malformed;
    }

    // ---- passing over

    fn skip(scanner: *Scanner, depth: usize) Malformed!void {
        if (depth > nesting_max) return error.Malformed;
        switch (scanner.next() orelse return error.Malformed) {
            '"' => try scanner.skipString(),
            '{', '[' => |open| {
                scanner.at += 1;
                const close = open + 2; // } follows { by two, and ] follows [
                if (scanner.accept(close)) return;
                while (true) {
                    if (open == '{') {
                        if (scanner.next() != '"') return error.Malformed;
                        try scanner.skipString();
                        try scanner.expect(':');
                    }
                    try scanner.skip(depth + 1);
                    if (!scanner.accept(',')) break;
                }
                try scanner.expect(close);
            },
            't' => try scanner.word("true"),
            'f' => try scanner.word("false"),
            'n' => try scanner.word("null"),
            else => try scanner.number(),
        }
    }

    fn word(scanner: *Scanner, wanted: []const u8) Malformed!void {
        if (!std.mem.startsWith(u8, scanner.text[scanner.at..], wanted)) return error.Malformed;
        scanner.at += wanted.len;
    }

    fn here(scanner: *Scanner) u8 {
        return if (scanner.at < scanner.text.len) scanner.text[scanner.at] else 0;
    }

    fn digits(scanner: *Scanner) Malformed!void {
        const start = scanner.at;
        while (std.ascii.isDigit(scanner.here())) scanner.at += 1;
        if (scanner.at == start) return error.Malformed;
    }

    fn number(scanner: *Scanner) Malformed!void {
        if (scanner.here() == '-') scanner.at += 1;
        if (scanner.here() == '0') scanner.at += 1 else try scanner.digits();
        if (scanner.here() == '.') {
            scanner.at += 1;
            try scanner.digits();
        }
        if (scanner.here() | 0x20 == 'e') {
            scanner.at += 1;
            if (scanner.here() == '+' or scanner.here() == '-') scanner.at += 1;
            try scanner.digits();
        }
    }

    fn skipString(scanner: *Scanner) Malformed!void {
        scanner.at += 1;
        while (true) {
            const letter = scanner.here();
            scanner.at += 1;
            switch (letter) {
                '"' => return,
                0...0x1f => return error.Malformed,
                '\\' => {
                    const escaped = scanner.here();
                    scanner.at += 1;
                    switch (escaped) {
                        '"', '\\', '/', 'b', 'f', 'n', 'r', 't' => {},
                        'u' => _ = try scanner.codePoint(),
                        else => return error.Malformed,
                    }
                },
                else => {},
            }
        }
    }

    fn unit(scanner: *Scanner) Malformed!u21 {
        if (scanner.text.len - scanner.at < 4) return error.Malformed;
        var result: u21 = 0;
        for (scanner.text[scanner.at..][0..4]) |digit|
            result = result << 4 | (std.fmt.charToDigit(digit, 16) catch return error.Malformed);
        scanner.at += 4;
        return result;
    }

    /// What follows `\u`, both halves of a pair.
    fn codePoint(scanner: *Scanner) Malformed!u21 {
        const high = try scanner.unit();
        if (high < 0xd800 or high > 0xdfff) return high;
        if (high > 0xdbff or !std.mem.startsWith(u8, scanner.text[scanner.at..], "\\u")) return error.Malformed;
        scanner.at += 2;
        const low = try scanner.unit();
        if (low < 0xdc00 or low > 0xdfff) return error.Malformed;
        return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }

    // ---- reading what is known to be well-formed

    fn raw(scanner: *Scanner) []const u8 {
        _ = scanner.next();
        const start = scanner.at;
        scanner.skip(0) catch unreachable;
        return scanner.text[start..scanner.at];
    }

    fn string(scanner: *Scanner) error{OutOfMemory}![]const u8 {
        _ = scanner.next();
        const start = scanner.at + 1;
        scanner.skipString() catch unreachable;
        const quoted = scanner.text[start .. scanner.at - 1];
        return if (std.mem.indexOfScalar(u8, quoted, '\\') == null) quoted else unescaped(quoted);
    }

    fn unescaped(quoted: []const u8) error{OutOfMemory}![]const u8 {
        const result = try host.allocator.alloc(u8, quoted.len); // an escape is never shorter than what it stands for
        var inner: Scanner = .{ .text = quoted };
        var size: usize = 0;
        while (inner.at < quoted.len) {
            const letter = quoted[inner.at];
            inner.at += 1;
            if (letter != '\\') {
                result[size] = letter;
                size += 1;
                continue;
            }
            inner.at += 1;
            const code: u21 = switch (quoted[inner.at - 1]) {
                'b' => 8,
                'f' => 12,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => inner.codePoint() catch unreachable,
                else => |itself| itself,
            };
            size += std.unicode.utf8Encode(code, result[size..]) catch unreachable;
        }
        return result[0..size];
    }

    fn value(scanner: *Scanner, comptime T: type, name: []const u8) Error!T {
        const first = scanner.next().?;
        if (T == Raw) return .{ .text = scanner.raw() };
        switch (@typeInfo(T)) {
            .optional => |optional| {
                if (first != 'n') return try scanner.value(optional.child, name);
                _ = scanner.raw();
                return null;
            },
            .bool => {
                if (first != 't' and first != 'f') return invalid(name, " must be true or false");
                return scanner.raw()[0] == 't';
            },
            .int => return std.fmt.parseInt(T, scanner.raw(), 10) catch |err| switch (err) {
                error.Overflow => invalid(name, " is out of range"),
                error.InvalidCharacter => invalid(name, " must be a whole number"),
            },
            .float => {
                if (first != '-' and !std.ascii.isDigit(first)) return invalid(name, " must be a number");
                return std.fmt.parseFloat(T, scanner.raw()) catch unreachable;
            },
            .@"enum" => {
                const word_ = if (first == '"') try scanner.string() else "";
                return std.meta.stringToEnum(T, word_) orelse
                    invalid(name, comptime " must be " ++ choices(T));
            },
            .pointer => |pointer| {
                if (pointer.child == u8) {
                    if (first != '"') return invalid(name, " must be a text");
                    return scanner.string();
                }
                return scanner.list(pointer.child, name);
            },
            .@"struct" => return scanner.record(T, name),
            else => @compileError("JSON is not read into " ++ @typeName(T)),
        }
    }

    fn list(scanner: *Scanner, comptime Item: type, name: []const u8) Error![]const Item {
        if (!scanner.accept('[')) return invalid(name, " must be a list");
        var items: std.ArrayList(Item) = .empty;
        if (scanner.accept(']')) return items.items;
        while (true) {
            try items.append(host.allocator, try scanner.value(Item, name));
            if (!scanner.accept(',')) break;
        }
        _ = scanner.accept(']');
        return items.items;
    }

    fn record(scanner: *Scanner, comptime T: type, name: []const u8) Error!T {
        const info = @typeInfo(T).@"struct";
        if (!scanner.accept('{'))
            return invalid(name, if (name.len > 0) " must be an object" else "a JSON object is wanted");
        var result: T = undefined;
        var there: [info.field_names.len]bool = @splat(false);
        var more = !scanner.accept('}');
        next: while (more) : (more = scanner.accept(',')) {
            const member = try scanner.string();
            _ = scanner.accept(':');
            inline for (info.field_names, info.field_types, 0..) |field, Field, i| {
                if (std.mem.eql(u8, field, member)) {
                    @field(result, field) = try scanner.value(Field, try path(name, field));
                    there[i] = true;
                    continue :next;
                }
            }
            _ = scanner.raw();
        }
        _ = scanner.accept('}');
        inline for (info.field_names, info.field_types, info.field_attrs, there) |field, Field, attrs, is_there| {
            if (!is_there) {
                if (attrs.defaultValue(Field)) |default|
                    @field(result, field) = default
                else if (@typeInfo(Field) == .optional)
                    @field(result, field) = null
                else
                    return invalid(try path(name, field), " is missing");
            }
        }
        return result;
    }

    fn path(outer: []const u8, field: []const u8) error{OutOfMemory}![]const u8 {
        if (outer.len == 0) return field;
        return std.mem.concat(host.allocator, u8, &.{ outer, ".", field });
    }
};

fn choices(comptime T: type) []const u8 {
    comptime {
        const names = @typeInfo(T).@"enum".field_names;
        var text: []const u8 = "";
        for (names, 0..) |name, i|
            text = text ++ (if (i == 0) "" else if (i + 1 == names.len) " or " else ", ") ++ name;
        return text;
    }
}

// ---- writing

/// JSON of structs (also anonymous ones), slices, texts, numbers, bools, enums, optionals and `Raw`.
pub fn write(value: anytype) Error![]const u8 {
    var out: std.ArrayList(u8) = .empty;
    try put(&out, value);
    return out.items;
}

fn put(out: *std.ArrayList(u8), value: anytype) Error!void {
    const T = @TypeOf(value);
    if (T == Raw) return out.appendSlice(host.allocator, value.text);
    switch (@typeInfo(T)) {
        .@"union" => try value.putJson(out),
        .null => try out.appendSlice(host.allocator, "null"),
        .bool => try out.appendSlice(host.allocator, if (value) "true" else "false"),
        .int, .comptime_int => {
            var buffer: [40]u8 = undefined;
            const Wide = if (T == u64) u64 else i64;
            const wide: Wide = value;
            const size = std.fmt.printInt(&buffer, wide, 10, .lower, .{});
            try out.appendSlice(host.allocator, buffer[0..size]);
        },
        .float, .comptime_float => try putFloat(out, value),
        .@"enum" => try putString(out, @tagName(value)),
        .optional => if (value) |there| try put(out, there) else try out.appendSlice(host.allocator, "null"),
        .pointer => |pointer| {
            if (pointer.child == u8) return putString(out, value);
            if (pointer.size == .one) return switch (@typeInfo(pointer.child)) {
                .array => |array| if (array.child == u8) putString(out, value) else putList(out, value),
                else => put(out, value.*),
            };
            try putList(out, value);
        },
        .@"struct" => |info| {
            try out.append(host.allocator, '{');
            inline for (info.field_names, 0..) |name, i| {
                try out.appendSlice(host.allocator, comptime (if (i > 0) ",\"" else "\"") ++ name ++ "\":");
                try put(out, @field(value, name));
            }
            try out.append(host.allocator, '}');
        },
        else => @compileError("JSON has no form for " ++ @typeName(T)),
    }
}

fn putList(out: *std.ArrayList(u8), items: anytype) Error!void {
    try out.append(host.allocator, '[');
    for (items, 0..) |item, i| {
        if (i > 0) try out.append(host.allocator, ',');
        try put(out, item);
    }
    try out.append(host.allocator, ']');
}

/// JSON has no infinity: null then.
pub fn putFloat(out: *std.ArrayList(u8), value: f64) Error!void {
    if (!std.math.isFinite(value)) return out.appendSlice(host.allocator, "null");
    var buffer: [std.fmt.float.bufferSize(.scientific, f64)]u8 = undefined;
    const plain = @abs(value) < 1e15 and @abs(value) >= 1e-5 or value == 0;
    var wide: [64]u8 = undefined;
    const text = if (plain)
        std.fmt.float.render(&wide, value, .{ .mode = .decimal }) catch unreachable
    else
        std.fmt.float.render(&buffer, value, .{ .mode = .scientific }) catch unreachable;
    try out.appendSlice(host.allocator, text);
}

pub fn putString(out: *std.ArrayList(u8), text: []const u8) Error!void {
    try out.append(host.allocator, '"');
    var done: usize = 0; // everything before it is in `out`
    for (text, 0..) |letter, i| {
        if (letter >= 0x20 and letter != '"' and letter != '\\') continue;
        try out.appendSlice(host.allocator, text[done..i]);
        done = i + 1;
        if (letter >= 0x20) {
            try out.appendSlice(host.allocator, &.{ '\\', letter });
        } else {
            const hex = "0123456789abcdef";
            try out.appendSlice(host.allocator, &.{ '\\', 'u', '0', '0', hex[letter >> 4], hex[letter & 15] });
        }
    }
    try out.appendSlice(host.allocator, text[done..]);
    try out.append(host.allocator, '"');
}

const testing = std.testing;

const Person = struct {
    name: []const u8,
    age: i64,
    town: ?[]const u8 = null,
    tags: []const []const u8 = &.{},
    home: ?struct { street: []const u8 } = null,
    kind: enum { human, robot } = .human,
    weight: f64 = 0,
};

test "records there and back" {
    const text = "{\"name\":\"A \\\"b\\\" é\",\"age\":-36,\"town\":null,\"tags\":[\"x\",\"\"],\"home\":{\"street\":\"s\"}," ++
        "\"kind\":\"robot\",\"weight\":0.1}";
    const person = try read(Person, text);
    try testing.expectEqualStrings(text, try write(person));
    const short = try read(Person, " { \"age\" : 1 , \"other\" : [ { } , null , -1.5e+3 ] , \"name\" : \"\\u00e9\\ud83d\\ude00\\n\" } ");
    try testing.expectEqualStrings("é😀\n", short.name);
}

fn refused(text: []const u8, message: []const u8) !void {
    try testing.expectError(error.Invalid, read(Person, text));
    try testing.expectEqualStrings(message, fault.failure().message);
}

test "what does not fit is named" {
    try refused("{\"age\":1}", "\"name\" is missing");
    try refused("{\"age\":1.5,\"name\":\"\"}", "\"age\" must be a whole number");
    try refused("{\"age\":99999999999999999999}", "\"age\" is out of range");
    try refused("{\"home\":{\"street\":1}}", "\"home.street\" must be a text");
    try refused("{\"tags\":[1]}", "\"tags\" must be a text");
    try refused("{\"kind\":\"cat\"}", "\"kind\" must be human or robot");
    try refused("[]", "a JSON object is wanted");
    for ([_][]const u8{ "", "{", "{}x", "{\"a\":01}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "\xff", &@as([100]u8, @splat('[')) }) |text|
        try refused(text, "this is not JSON");
}

test "floats" {
    for ([_]f64{ 0, 3, -0.5, 0.1, 1e15, 123456789.125, 1e-7, 1.7976931348623157e308, 5e-324 }) |number| {
        const text = try write(number);
        try testing.expectEqual(number, try read(f64, text));
    }
    try testing.expectEqualStrings("null", try write(std.math.inf(f64)));
}

test "no text breaks the reader" {
    var source = std.Random.DefaultPrng.init(2);
    const seed = "{\"name\":\"A\\u00e9\",\"age\":36,\"tags\":[\"x\",\"y\"],\"home\":{\"street\":\"s\"},\"weight\":-1.5e3}";
    const put_in = "{}[]\",:\\u0123eE+-.nt \n\x00\xff";
    for (0..20_000) |round| {
        var text = seed.*;
        for (0..1 + round % 3) |_|
            text[source.random().uintLessThan(usize, text.len)] = put_in[source.random().uintLessThan(usize, put_in.len)];
        const cut = text[0 .. if (round % 4 == 0) source.random().uintAtMost(usize, text.len) else text.len];
        const mine = if (read(Person, cut)) |_| true else |_| !std.mem.eql(u8, fault.failure().message, "this is not JSON");
        try testing.expectEqual(try std.json.validate(testing.allocator, cut), mine);
    }
}
