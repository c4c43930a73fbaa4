//! Lines in the host's log. That one cannot be written is nobody's concern who handles a request.
use crate::call::{self, DEFAULT_LINK};
use crate::msgpack::Writer;

const CONTRACT: &str = "wasmcloud:builtin:logging";

pub fn debug(text: &str) {
    write("debug", text);
}

pub fn info(text: &str) {
    write("info", text);
}

pub fn warn(text: &str) {
    write("warn", text);
}

pub fn error(text: &str) {
    write("error", text);
}

fn write(level: &str, text: &str) {
    let entry = Writer::new().map(2).field("level", level).field("text", text).done();
    let _ = call::provider(DEFAULT_LINK, CONTRACT, "Logging.WriteLog", &entry);
}
