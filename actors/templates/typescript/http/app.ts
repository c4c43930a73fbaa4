/** People, over HTTP: JSON comes in, is checked, stored and answered. */
import { http, keyvalue, notFound, t } from "nanolattice";

const Person = t.object({ name: t.text, age: t.whole });
type Person = t.Infer<typeof Person>;

http.get("/", () => ({ actor: "{{name}}" }));

http.post("/people", (request) => {
  const person: Person = request.json(Person);
  keyvalue.setJson(`people:${person.name}`, person);
  return http.json(person, 201);
});

http.get("/people/{name}", ({ params }) => {
  const person = keyvalue.getJson(`people:${params.name}`, Person);
  if (!person) throw notFound(`nobody is called ${params.name}`);
  return person;
});
