/** lattice:cron: calls at set times. */
import { fail, failed, register } from "./call";
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

class Timer {
  constructor(public readonly name: string, public readonly take: TickHandler) {}
}

const timers: Timer[] = [];

/** Names the function that is called at each tick of the timers which `on` names no other for. */
export function handle(take: TickHandler): void {
  on("", take);
}

/** Names the function that is called at each tick of one timer. */
export function on(timer: string, take: TickHandler): void {
  timers.push(new Timer(timer, take));
  register("Cron.HandleTick", (_operation, payload) => {
    const tick = decode(payload);
    if (!failed()) serve(tick);
    return new Uint8Array(0);
  });
}

function serve(tick: Tick): void {
  let fallback: TickHandler | null = null;
  for (let i = 0; i < timers.length; i++) {
    if (!timers[i].name.length) fallback = timers[i].take;
    else if (timers[i].name == tick.timer) return timers[i].take(tick);
  }
  if (fallback === null) fail(`operation_unknown: this actor has no handler for the timer ${tick.timer}`);
  else fallback(tick);
}

function decode(payload: Uint8Array): Tick {
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
  return tick;
}
