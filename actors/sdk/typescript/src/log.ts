/** Lines of the actor's log: the built-in contract wasmcloud:builtin:logging. `console.log` needs no contract. */
import { ask } from "./host";

const CONTRACT = "wasmcloud:builtin:logging";

export type Level = "debug" | "info" | "warn" | "error";

export function write(level: Level, message: string): void {
  ask("default", CONTRACT, "Logging.WriteLog", { level, text: message });
}

export function debug(message: string): void {
  write("debug", message);
}

export function info(message: string): void {
  write("info", message);
}

export function warn(message: string): void {
  write("warn", message);
}

export function error(message: string): void {
  write("error", message);
}
