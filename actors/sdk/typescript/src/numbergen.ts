/** Random numbers of the host: the built-in contract wasmcloud:builtin:numbergen. `Math.random` needs no contract. */
import { ask } from "./host";

const CONTRACT = "wasmcloud:builtin:numbergen";

export function guid(): string {
  return ask("default", CONTRACT, "NumberGen.GenerateGuid");
}

/** From 0 to 4,294,967,295. */
export function random32(): number {
  return ask("default", CONTRACT, "NumberGen.Random32");
}

/** Both ends are included. */
export function inRange(min: number, max: number): number {
  return ask("default", CONTRACT, "NumberGen.RandomInRange", { min, max });
}
