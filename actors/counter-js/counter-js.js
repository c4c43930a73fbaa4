// Counts the requests to each path.
import { increment } from "wasi:keyvalue/atomics@0.2.0-draft";
import { open } from "wasi:keyvalue/store@0.2.0-draft";

addEventListener("fetch", (event) => event.respondWith(count(event.request)));

async function count(request) {
  if (request.method !== "GET") return answer(405, { error: "only GET counts" }, { allow: "GET" });
  try {
    return answer(200, { counter: Number(increment(open("default"), new URL(request.url).pathname, 1n)) });
  } catch (error) {
    return answer(503, { error: error.payload?.val ?? String(error) });
  }
}

function answer(status, content, headers = {}) {
  return new Response(JSON.stringify(content) + "\n", {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}
