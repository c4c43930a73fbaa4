/**
 * Builds the report of the last week at each tick of its timer, keeps it in the blobstore and serves it over HTTP.
 *
 * Reads the keys that shortener and clicks write. Objects: "report.html" and "links.csv" in the container "reports".
 */
import { blobstore, cron, http, keyvalue, log, time } from "nanolattice";
import { Row, csv, page } from "./page";
export { __guest_call } from "nanolattice";

const CONTAINER = "reports";
const DAYS = 7;
const DAY_MS: i64 = 86400000;
/** Links that one report reads: each costs some calls to the key-value store, and a tick has only so much time. */
const LINKS_MAX = 1000;
const ROWS_MAX = 25;

cron.handle((tick) => build(tick.nowMs));

http.handle((request) => {
  if (request.method != "GET") return http.Response.error(405, "only GET is answered here").header("allow", "GET");
  if (request.path == "/report") return stored("report.html");
  if (request.path == "/report/links.csv") return stored("links.csv");
  return http.Response.error(404, "there are /report and /report/links.csv");
});

function stored(name: string): http.Response {
  const blob = blobstore.get(CONTAINER, name);
  if (!blob.found) return http.Response.text(404, "There is no report yet. The first comes with the next tick.\n");
  return new http.Response(200, blob.bytes).header("content-type", blob.contentType);
}

function build(nowMs: i64): void {
  const sets: string[] = [];
  const days: string[] = [];
  for (let i = 0; i < DAYS; i++) {
    days.unshift(time.day(nowMs - i * DAY_MS));
    sets.push("clicked:" + days[0]);
  }
  const codes = keyvalue.setUnion(sets);
  const rows: Row[] = [];
  const perDay = new Array<i64>(DAYS);
  for (let i = 0; i < codes.length && i < LINKS_MAX; i++) {
    const row = read(codes[i], days, perDay);
    if (row !== null) rows.push(row);
  }
  rows.sort((one, other) => <i32>(other.clicks - one.clicks));
  const left = codes.length - LINKS_MAX;
  const note = left > 0 ? `${left} more links were followed and are not in this report.` : "";
  blobstore.createContainer(CONTAINER);
  blobstore.put(CONTAINER, "links.csv", "text/csv; charset=utf-8", csv(rows));
  const html = page(rows.slice(0, ROWS_MAX), days, perDay, time.minute(nowMs), note);
  blobstore.put(CONTAINER, "report.html", "text/html; charset=utf-8", html);
  log.info(`report written: ${rows.length} links`);
}

/** The clicks of one link; adds those of each day to `perDay`. Null when the link is gone. */
function read(code: string, days: string[], perDay: i64[]): Row | null {
  const url = keyvalue.get("url:" + code);
  if (url === null) return null;
  let clicks: i64 = 0;
  for (let i = 0; i < days.length; i++) {
    const count = keyvalue.get(`clicks:${code}:${days[i]}`);
    if (count === null) continue;
    perDay[i] += i64.parse(count);
    clicks += i64.parse(count);
  }
  return new Row(code, url, clicks);
}
