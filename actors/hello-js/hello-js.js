// Answers every request with "hello".
addEventListener("fetch", (event) =>
  event.respondWith(new Response("hello\n", { headers: { "content-type": "text/plain" } })),
);
