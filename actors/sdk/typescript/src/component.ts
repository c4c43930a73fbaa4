/** What is exported of a component. Importable only inside of one. */
import { call, consoleLog } from "nanolattice:actor/host@0.1.0";
import { getRandomBytes } from "wasi:random/random@0.2.0";
import { Failure } from "./failure";
import { type Bytes, install } from "./globals";
import { serve } from "./guest";
import { use } from "./host";

/** Put in by the build. */
declare const ENGINE: "quickjs" | "starlingmonkey";

const random: Bytes = (count) => getRandomBytes((ENGINE === "quickjs" ? count : BigInt(count)) as bigint);

use((link, target, operation, payload) => {
  try {
    return call(link, target, operation, payload);
  } catch (error) {
    // One engine throws the record itself, the other an error that has it.
    const { code, message } = ((error as { payload?: unknown }).payload ?? error) as { code: string; message: string };
    throw new Failure(code, message);
  }
});

if (ENGINE === "quickjs") install(globalThis, random, consoleLog);

export const guest = {
  handle(operation: string, payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
    try {
      const reply = serve(operation, payload);
      if (!(reply instanceof Promise)) return reply;
      if (ENGINE === "quickjs") {
        throw new Failure(
          "exception",
          "a handler is async, which the small engine cannot wait for: capabilities answer at once, so leave out async" +
            ' and await, or set "engine": "starlingmonkey" under "nanolattice" in package.json',
        );
      }
      return reply.catch(told);
    } catch (error) {
      return told(error);
    }
  },
};

/** As the record that the interface foresees. */
function told(error: unknown): never {
  const { code, reason } = error as Failure;
  throw { code, message: reason };
}
