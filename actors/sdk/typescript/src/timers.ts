/** Calls at set times: the contract lattice:cron. When, is said by the link in the manifest; its name is the timer's. */
import { Failure } from "./failure";
import { after, answer as register, read } from "./guest";

const OPERATION = "Cron.HandleTick";
const NOTHING = /* @__PURE__ */ new Uint8Array(0);

/** When it was due and when it was sent, in milliseconds since 1970. `missed` were due before and not sent. */
export interface Tick {
  readonly timer: string;
  readonly scheduledMs: number;
  readonly nowMs: number;
  readonly missed: number;
}

export type Handler = (tick: Tick) => void | Promise<void>;

const handlers = /* @__PURE__ */ new Map<string, Handler>();

/** Names the function that is called at each tick of a timer; "" takes the ticks of all that have none of their own. */
export function onTimer(timer: string, handler: Handler): void {
  handlers.set(timer, handler);
  register(OPERATION, (payload) => {
    const tick = read<Tick>(payload, OPERATION);
    return take({ ...tick, missed: tick.missed ?? 0 });
  });
}

/** Forgets all handlers: for tests. */
export function clear(): void {
  handlers.clear();
}

function take(tick: Tick): Uint8Array | Promise<Uint8Array> {
  const handler = handlers.get(tick.timer) ?? handlers.get("");
  if (!handler) throw new Failure("operation_unknown", `this actor has no timer ${tick.timer}`);
  return after<void, Uint8Array>(handler(tick), () => NOTHING);
}
