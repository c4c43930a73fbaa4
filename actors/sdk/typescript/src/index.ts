/**
 * Actors in TypeScript and JavaScript. An actor is a file that says which function answers what:
 *
 *     import { http, keyvalue, t } from "nanolattice";
 *
 *     const Person = t.object({ name: t.text, age: t.whole });
 *
 *     http.post("/people", (request) => {
 *       const person = request.json(Person);
 *       keyvalue.setJson(`people:${person.name}`, person);
 *       return http.json(person, 201);
 *     });
 *
 * What the actor may use is what is used here: the host grants it nothing else. Nothing may be kept in variables from call to
 * call: an instance may serve the next call or be thrown away, and others run beside it.
 */
export * as actors from "./actors";
export { onOperation } from "./actors";
export * as blobstore from "./blobstore";
export { conflict, Failure, forbidden, invalid, notFound, unavailable } from "./failure";
export { type Answer, fetch } from "./fetching";
export * as http from "./http";
export type { Request } from "./http";
export * as keyvalue from "./keyvalue";
export * as log from "./log";
export * as messaging from "./messaging";
export { type Message, onMessage } from "./messaging";
export * as numbergen from "./numbergen";
export * as t from "./schema";
export * as sql from "./sql";
export { onTimer, type Tick } from "./timers";
export * as utf8 from "./utf8";
