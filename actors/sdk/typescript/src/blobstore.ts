/** Objects in containers: the contract wasmcloud:blobstore. */
import { Failure, invalid, notFound } from "./failure";
import { ask } from "./host";
import * as utf8 from "./utf8";

const CONTRACT = "wasmcloud:blobstore";
/** Bytes asked for and sent at once: far below every payload limit. */
export const PIECE = 262144;

export class Blob {
  constructor(
    readonly bytes: Uint8Array,
    readonly contentType = "",
  ) {}

  /** Throws `Failure` "invalid" if it is none. */
  text(): string {
    const text = utf8.decode(this.bytes);
    if (text === null) throw invalid("the object is not text");
    return text;
  }
}

interface Piece {
  success: boolean;
  initialChunk?: { bytes: Uint8Array } | null;
  contentLength: number;
  contentType?: string | null;
}

/** A container of objects, at the end of a link. Throws `Failure` when the store cannot do it. */
export class Container {
  constructor(
    readonly name: string,
    readonly link = "default",
  ) {}

  /** Makes the container unless it is there. */
  create(): void {
    if (!this.ask("ContainerExists", this.name)) this.ask("CreateContainer", this.name);
  }

  /** Stores an object, in place of one that was there. */
  put(name: string, data: Uint8Array | string, contentType?: string): void {
    const bytes = typeof data === "string" ? utf8.encode(data) : data;
    const first = { chunk: this.chunk(name, bytes, 0), contentType };
    const streamId = this.ask<{ streamId?: string } | undefined>("PutObject", first)?.streamId;
    for (let offset = PIECE; offset < bytes.length; offset += PIECE) {
      this.ask("PutChunk", { chunk: this.chunk(name, bytes, offset), streamId, cancelAndRemove: false });
    }
  }

  /** The whole object. Throws `Failure` "not_found". */
  get(name: string): Blob {
    const found = this.piece(name, 0);
    if (!found.success) throw notFound(`there is no object ${name} in ${this.name}`);
    const first = found.initialChunk?.bytes ?? new Uint8Array(0);
    const type = found.contentType ?? "";
    // The length in the reply is what there is of the piece; a provider with small chunks sends less of it at once.
    if (first.length === found.contentLength && first.length < PIECE) return new Blob(first.slice(), type);
    const bytes = new Uint8Array(this.sizeOf(name));
    let have = 0;
    for (let more = first; ; more = this.piece(name, have).initialChunk?.bytes ?? new Uint8Array(0)) {
      if (have + more.length > bytes.length || (!more.length && have < bytes.length)) {
        throw new Failure("provider_error", `the object ${name} changed while it was read`);
      }
      bytes.set(more, have);
      have += more.length;
      if (have === bytes.length) return new Blob(bytes, type);
    }
  }

  exists(name: string): boolean {
    return this.ask("ObjectExists", { containerId: this.name, objectId: name });
  }

  /** Deletes it if it is there. */
  delete(name: string): void {
    interface Failed {
      success: boolean;
      error?: string | null;
    }
    for (const item of this.ask<Failed[]>("RemoveObjects", { containerId: this.name, objects: [name] }) ?? []) {
      if (!item.success) throw new Failure("provider_error", item.error ?? `${name} was not deleted`);
    }
  }

  /** The names of its objects, in order. */
  list(prefix = ""): string[] {
    const names: string[] = [];
    let continuation: string | undefined;
    do {
      const found = this.ask<{ objects: { objectId: string }[]; isLast: boolean; continuation?: string | null }>(
        "ListObjects",
        { containerId: this.name, startWith: prefix || undefined, continuation },
      );
      for (const object of found.objects) names.push(object.objectId);
      continuation = found.isLast ? undefined : (found.continuation ?? undefined);
    } while (continuation !== undefined);
    return names;
  }

  private ask<T>(operation: string, message: unknown): T {
    return ask(this.link, CONTRACT, `Blobstore.${operation}`, message);
  }

  private chunk(objectId: string, all: Uint8Array, offset: number): unknown {
    const bytes = all.subarray(offset, offset + PIECE);
    return { objectId, containerId: this.name, bytes, offset, isLast: offset + bytes.length === all.length };
  }

  private piece(objectId: string, rangeStart: number): Piece {
    const range = { rangeStart, rangeEnd: rangeStart + PIECE - 1 };
    return this.ask("GetObject", { objectId, containerId: this.name, ...range });
  }

  private sizeOf(objectId: string): number {
    return this.ask<{ contentLength: number }>("GetObjectInfo", { objectId, containerId: this.name }).contentLength;
  }
}

/** The container with that name. It is made by `create()`. */
export function container(name: string, link = "default"): Container {
  return new Container(name, link);
}
