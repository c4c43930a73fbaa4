/** Keeps people: JSON in, checked, stored, and given back. */
import { http, json, keyvalue } from "nanolattice";
export { __guest_call } from "nanolattice";

http.post("/people", (request) => {
  const body = request.json(); // what does not fit is answered 400, naming the member
  const person = new json.Writer().text("name", body.text("name")).integer("age", body.integer("age")).done();
  keyvalue.set("people:" + body.text("name"), person);
  return http.Response.json(201, person);
});

http.get("/people/{name}", (request) => {
  const person = keyvalue.get("people:" + request.segment("name"));
  if (person === null) return http.Response.error(404, "there is no such person");
  return http.Response.json(200, person);
});

http.get("/", (_request) => http.Response.json(200, new json.Writer().text("actor", "{{name}}").done()));
