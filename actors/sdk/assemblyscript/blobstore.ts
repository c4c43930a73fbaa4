/** wasmcloud:blobstore: objects in containers. */
import { callProvider, fail, failed } from "./call";
import { Reader, Writer } from "./msgpack";

const CONTRACT = "wasmcloud:blobstore";
/** Bytes asked for at once: a reply far below every payload limit. */
const PIECE = 262144;

export class Blob {
  found: bool = false;
  contentType: string = "";
  bytes: Uint8Array = new Uint8Array(0);
}

/** One piece of an object. `available` is what there is of it: a provider with small chunks gives less. */
class Piece extends Blob {
  available: i64 = 0;
}

/** Makes the container unless it is there. */
export function createContainer(container: string): void {
  const there = new Reader(callProvider(CONTRACT, "Blobstore.ContainerExists", new Writer().text(container).done()));
  if (!failed() && !there.bool()) {
    callProvider(CONTRACT, "Blobstore.CreateContainer", new Writer().text(container).done());
  }
}

export function put(container: string, object: string, contentType: string, text: string): void {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  const message = new Writer().map(2).text("chunk");
  message.map(5).field("objectId", object).field("containerId", container);
  message.text("bytes").bytes(bytes).text("offset").int(0).text("isLast").bool(true);
  callProvider(CONTRACT, "Blobstore.PutObject", message.field("contentType", contentType).done());
}

/** The whole object; `found` is false when it is not there. */
export function get(container: string, object: string): Blob {
  const blob = piece(container, object, 0);
  if (blob.available < PIECE && blob.available == blob.bytes.byteLength) return blob;
  const size = sizeOf(container, object);
  const bytes = new Uint8Array(<i32>size);
  bytes.set(blob.bytes);
  let have = blob.bytes.byteLength;
  while (have < size && !failed()) {
    const next = piece(container, object, have).bytes;
    if (!next.byteLength || have + next.byteLength > size) fail("provider_error: the object changed while it was read");
    else bytes.set(next, have);
    have += next.byteLength;
  }
  blob.bytes = bytes;
  return blob;
}

export function remove(container: string, object: string): void {
  const message = new Writer().map(2).field("containerId", container).text("objects").array(1).text(object);
  callProvider(CONTRACT, "Blobstore.RemoveObjects", message.done());
}

/** The names of its objects that begin with `prefix`, in order. */
export function list(container: string, prefix: string = ""): string[] {
  const names: string[] = [];
  let next = "";
  do {
    const message = new Writer().map(next.length ? 3 : 2).field("containerId", container).field("startWith", prefix);
    if (next.length) message.field("continuation", next);
    const reader = new Reader(callProvider(CONTRACT, "Blobstore.ListObjects", message.done()));
    next = failed() ? "" : page(reader, names);
    if (reader.bad && !failed()) fail("malformed_message: the blobstore's reply cannot be read");
  } while (next.length && !failed());
  return names;
}

/** Reads the names of one page; returns where the next begins, "" after the last. */
function page(reader: Reader, names: string[]): string {
  let next = "";
  let last = true;
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "isLast") last = reader.bool();
    else if (field == "continuation") next = reader.text();
    else if (field == "objects") {
      for (let objects = reader.array(); objects > 0 && !reader.bad; objects--) {
        for (let members = reader.map(); members > 0 && !reader.bad; members--) {
          if (reader.text() == "objectId") names.push(reader.text());
          else reader.skip();
        }
      }
    } else reader.skip();
  }
  return last ? "" : next;
}

/** The piece of an object that begins at `start`. */
function piece(container: string, object: string, start: i32): Piece {
  const message = new Writer().map(4).field("objectId", object).field("containerId", container);
  message.text("rangeStart").int(start).text("rangeEnd").int(<i64>start + PIECE - 1);
  const blob = new Piece();
  const reader = new Reader(callProvider(CONTRACT, "Blobstore.GetObject", message.done()));
  if (failed()) return blob;
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "success") blob.found = reader.bool();
    else if (field == "contentType") blob.contentType = reader.text();
    else if (field == "contentLength") blob.available = reader.int();
    else if (field == "initialChunk") blob.bytes = chunkBytes(reader);
    else reader.skip();
  }
  if (reader.bad) fail("malformed_message: the blobstore's reply cannot be read");
  return blob;
}

function chunkBytes(reader: Reader): Uint8Array {
  let bytes = new Uint8Array(0);
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    if (reader.text() == "bytes") bytes = reader.bytes();
    else reader.skip();
  }
  return bytes;
}

function sizeOf(container: string, object: string): i64 {
  const message = new Writer().map(2).field("objectId", object).field("containerId", container);
  const reader = new Reader(callProvider(CONTRACT, "Blobstore.GetObjectInfo", message.done()));
  let size: i64 = 0;
  if (failed()) return size;
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    if (reader.text() == "contentLength") size = reader.int();
    else reader.skip();
  }
  return size;
}
