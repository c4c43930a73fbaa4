/** lattice:cron: calls at set times. */
import { fail, register } from "./call";
import { Reader } from "./msgpack";

export class Tick {
  /** The name of the link. */
  timer: string = "";
  /** When the tick was due and when it was sent, in milliseconds since 1970. */
  scheduledMs: i64 = 0;
  nowMs: i64 = 0;
  /** Ticks before this one that were due and not sent. */
  missed: i64 = 0;
}

export type TickHandler = (tick: Tick) => void;

let handler: TickHandler | null = null;

/** Names the function that is called at each tick. */
export function handle(take: TickHandler): void {
  handler = take;
  register("Cron.HandleTick", (_operation, payload) => {
    const tick = new Tick();
    const reader = new Reader(payload);
    for (let left = reader.map(); left > 0 && !reader.bad; left--) {
      const field = reader.text();
      if (field == "timer") tick.timer = reader.text();
      else if (field == "scheduledMs") tick.scheduledMs = reader.int();
      else if (field == "nowMs") tick.nowMs = reader.int();
      else if (field == "missed") tick.missed = reader.int();
      else reader.skip();
    }
    if (reader.bad) fail("malformed_message: the tick cannot be read");
    else handler!(tick);
    return new Uint8Array(0);
  });
}
