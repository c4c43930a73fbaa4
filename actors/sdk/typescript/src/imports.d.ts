/** What a component is given by the host: ../../wit/actor.wit. */
declare module "nanolattice:actor/host@0.1.0" {
  export function call(link: string, target: string, operation: string, payload: Uint8Array): Uint8Array;
  export function consoleLog(warning: boolean, text: string): void;
}

declare module "wasi:random/random@0.2.0" {
  export function getRandomBytes(count: bigint): Uint8Array;
}

/** What every engine has, without the types of a browser or of node. */
declare const console: Record<"log" | "info" | "debug" | "warn" | "error", (...values: unknown[]) => void>;
