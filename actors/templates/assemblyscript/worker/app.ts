/** Takes texts as jobs, counts their words, keeps and publishes the results. */
import { blobstore, http, json, keyvalue, messaging } from "nanolattice";
export { __guest_call } from "nanolattice";

function countWords(text: string): i32 {
  let words = 0;
  let inside = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text.charCodeAt(i) > 0x20;
    if (letter && !inside) words++;
    inside = letter;
  }
  return words;
}

messaging.on("jobs.*", (message) => {
  const id = message.subject.substring("jobs.".length);
  const words = countWords(message.text()).toString();
  keyvalue.set("words:" + id, words);
  blobstore.createContainer("results");
  blobstore.put("results", id, "text/plain", words + " words");
  messaging.publish("done." + id, words);
});

http.post("/jobs/{id}", (request) => {
  const id = request.segment("id");
  messaging.publish("jobs." + id, request.text());
  return http.Response.json(202, new json.Writer().text("id", id).done());
});

http.get("/jobs/{id}", (request) => {
  const id = request.segment("id");
  const words = keyvalue.get("words:" + id);
  if (words === null) return http.Response.error(404, "no such job is done");
  return http.Response.json(200, new json.Writer().text("id", id).raw("words", words).done());
});
