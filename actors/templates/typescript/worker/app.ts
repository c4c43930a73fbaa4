/** Takes texts as jobs, counts their words, keeps and publishes the results. */
import { blobstore, http, keyvalue, messaging, notFound, onMessage } from "nanolattice";

onMessage("jobs.*", (message) => {
  const id = message.subject.slice("jobs.".length);
  const words = String(message.text().split(/\s+/).filter(Boolean).length);
  keyvalue.set(`words:${id}`, words);
  const results = blobstore.container("results");
  results.create();
  results.put(id, `${words} words`, "text/plain");
  messaging.publish(`done.${id}`, words);
});

http.post("/jobs/{id}", ({ params: { id }, body }) => {
  messaging.publish(`jobs.${id}`, body);
  return http.json({ id }, 202);
});

http.get("/jobs/{id}", ({ params: { id } }) => {
  const words = keyvalue.get(`words:${id}`);
  if (words === undefined) throw notFound(`no job ${id} is done`);
  return { id, words: Number(words) };
});
