/**
 * Actors in AssemblyScript. An actor registers its handlers at the top level of its file:
 *
 *     import { http } from "nanolattice";
 *     export { __guest_call } from "nanolattice";
 *
 *     http.get("/hello", (request) => http.Response.text(200, "hello\n"));
 *
 * Memory is collected when a call is over. Nothing may be kept from call to call: keep state in a capability.
 *
 * Errors stick: when a call to the host fails, it returns zero or an empty value, calls after it do nothing and return
 * the same, and when the handler has returned, its own call fails with that error. So a handler reads as if nothing
 * could fail. One that knows better asks `failed()` and takes the error with `takeError()`.
 */
import * as actors from "./actors";
import * as blobstore from "./blobstore";
import * as client from "./client";
import * as cron from "./cron";
import * as http from "./http";
import * as json from "./json";
import * as keyvalue from "./keyvalue";
import * as log from "./log";
import * as messaging from "./messaging";
import * as numbers from "./numbers";
import * as sql from "./sql";
import * as time from "./time";

export { actors, blobstore, client, cron, http, json, keyvalue, log, messaging, numbers, sql, time };
export { __guest_call, fail, failed, failedWith, failWith, takeError, useLink } from "./call";
