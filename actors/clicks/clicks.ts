/**
 * Counts clicks: takes each message on "links.clicked" and counts it for the link, for the link's day and for the day.
 *
 * Keys (shared with shortener and report): "clicks:CODE" all clicks of a link, "clicks:CODE:DAY" those of one day,
 * "clicked:DAY" the set of links that were followed that day. A message that is delivered twice counts twice.
 */
import { fail, json, keyvalue, messaging, time } from "nanolattice";
export { __guest_call } from "nanolattice";

messaging.handle((message) => {
  const click = message.text();
  const code = json.text(click, "code");
  const atMs = json.integer(click, "atMs", -1);
  if (code === null || !code.length || atMs < 0) {
    fail(`a click must be {"code": text, "atMs": number}, not ${click.substring(0, 100)}`);
    return;
  }
  const day = time.day(atMs);
  keyvalue.increment("clicks:" + code);
  keyvalue.increment("clicks:" + code + ":" + day);
  keyvalue.setAdd("clicked:" + day, code);
});
