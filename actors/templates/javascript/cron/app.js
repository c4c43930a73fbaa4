// Counts the ticks of a timer.
import { http, keyvalue, onTimer } from "nanolattice";

onTimer("", (tick) => {
  keyvalue.increment("ticks");
  keyvalue.set("last", String(tick.scheduledMs));
});

http.get("/", () => ({
  ticks: Number(keyvalue.get("ticks") ?? 0),
  last: Number(keyvalue.get("last") ?? 0),
}));
