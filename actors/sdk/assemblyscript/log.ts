/** wasmcloud:builtin:logging: lines in the host's log. */
import { callProvider } from "./call";
import { Writer } from "./msgpack";

export function debug(text: string): void {
  write("debug", text);
}

export function info(text: string): void {
  write("info", text);
}

export function warn(text: string): void {
  write("warn", text);
}

export function error(text: string): void {
  write("error", text);
}

/** `level` is debug, info, warn or error. */
export function write(level: string, text: string): void {
  const message = new Writer().map(2).field("level", level).field("text", text);
  callProvider("wasmcloud:builtin:logging", "Logging.WriteLog", message.done());
}
