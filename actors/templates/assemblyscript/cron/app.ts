/** Counts the ticks of a timer, and says how many there were. */
import { cron, http, json, keyvalue } from "nanolattice";
export { __guest_call } from "nanolattice";

cron.handle((tick) => {
  keyvalue.increment("ticks");
  keyvalue.set("last", tick.scheduledMs.toString());
});

function numberUnder(key: string): string {
  const number = keyvalue.get(key);
  return number === null ? "0" : number;
}

http.get("/", (_request) => {
  const answer = new json.Writer().raw("ticks", numberUnder("ticks")).raw("last", numberUnder("last"));
  return http.Response.json(200, answer.done());
});
