/** The one error of this package: a code that programs read and a message that people read. */

/**
 * What a capability, another actor or this one says has gone wrong.
 *
 * Codes of the host are those of its documentation: `not_linked`, `not_granted`, `deadline_exceeded`,
 * `provider_unavailable` and so on. An actor's own are words of its choice.
 */
export class Failure extends Error {
  override readonly name = "Failure";

  constructor(
    readonly code: string,
    /** Without the code, which `message` begins with. */
    readonly reason = "",
  ) {
    super(`${code}: ${reason}`);
  }
}

/**
 * The codes that a handler of HTTP requests may let through: the answer is `{"error": reason}` with this status. An error
 * of any other code fails the call, and the HTTP server of the host answers with what fits it.
 */
export const STATUSES: Readonly<Record<string, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  unavailable: 503,
  timeout: 504,
};

/** For `throw invalid("...")`: 400 over HTTP. */
export function invalid(reason: string): Failure {
  return new Failure("invalid", reason);
}

/** For `throw notFound("...")`: 404 over HTTP. */
export function notFound(reason: string): Failure {
  return new Failure("not_found", reason);
}

/** For `throw forbidden("...")`: 403 over HTTP. */
export function forbidden(reason: string): Failure {
  return new Failure("forbidden", reason);
}

/** For `throw conflict("...")`: 409 over HTTP. */
export function conflict(reason: string): Failure {
  return new Failure("conflict", reason);
}

/** For `throw unavailable("...")`: 503 over HTTP. */
export function unavailable(reason: string): Failure {
  return new Failure("unavailable", reason);
}
