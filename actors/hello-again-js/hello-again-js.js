// Answers every request with "hello", and the next one too: by the functions of wasi:http, since a fetch event comes once.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";

const encoder = new TextEncoder();
const HEADERS = [["content-type", encoder.encode("text/plain")]];
const TEXT = encoder.encode("hello\n");

export const incomingHandler = {
  handle(request, outparam) {
    request[Symbol.dispose](); // an instance that holds on to anything of a request answers no other
    const response = new OutgoingResponse(Fields.fromList(HEADERS));
    const body = response.body();
    ResponseOutparam.set(outparam, { tag: "ok", val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(TEXT);
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
