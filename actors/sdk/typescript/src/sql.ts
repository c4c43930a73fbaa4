/** Statements with parameters: the contract wasmcloud:sqldb. */
import { dump, load, type Value } from "./cbor";
import { Failure } from "./failure";
import { ask } from "./host";
import { list, type Schema } from "./schema";

export type { Value } from "./cbor";

const CONTRACT = "wasmcloud:sqldb";

/** What a query found: the names of its columns, and each row as a list. Whole numbers beyond 53 bits are bigints. */
export class Rows {
  constructor(
    readonly columns: readonly string[],
    readonly rows: readonly (readonly Value[])[],
  ) {}

  /** Each row as an object by column. */
  objects(): Record<string, Value>[] {
    return this.rows.map((row) => Object.fromEntries(this.columns.map((name, i) => [name, row[i] ?? null])));
  }

  /** Each row as an object that fits a schema. Throws `Failure` "invalid". */
  of<T>(schema: Schema<T>): T[] {
    return list(schema).read(this.objects(), "rows");
  }
}

interface Refused {
  error?: { code: string; message: string } | null;
}

/** The database at the end of one link. Throws `Failure`; what the database itself refuses has the code "sql". */
export class Database {
  constructor(readonly link = "default") {}

  /** Changes something; returns how many rows were changed. Each `?` stands for a parameter, in order. */
  execute(statement: string, ...parameters: Value[]): number {
    return this.ask<{ rowsAffected: number }>("Execute", statement, parameters).rowsAffected;
  }

  query(statement: string, ...parameters: Value[]): Rows {
    const found = this.ask<{ columns: { name: string }[]; rows: Uint8Array }>("Query", statement, parameters);
    return new Rows(found.columns.map((column) => column.name), load(found.rows) as Value[][]);
  }

  private ask<T>(operation: string, sql: string, parameters: readonly Value[]): T {
    const found = ask<T & Refused>(this.link, CONTRACT, `SqlDb.${operation}`, { sql, parameters: parameters.map(dump) });
    if (found.error) throw new Failure("sql", `${found.error.code}: ${found.error.message}`);
    return found;
  }
}

/** The database at the end of the link with that name. */
export function open(link: string): Database {
  return new Database(link);
}

const database = /* @__PURE__ */ new Database();

export function execute(statement: string, ...parameters: Value[]): number {
  return database.execute(statement, ...parameters);
}

export function query(statement: string, ...parameters: Value[]): Rows {
  return database.query(statement, ...parameters);
}
