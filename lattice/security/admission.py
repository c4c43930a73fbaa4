"""Whether an actor may run: what its token says, compared with the module, the clock and what the host trusts. Pure.

A host admits before it compiles. A module without a token is admitted where unsigned ones are allowed; a token that is
there and wrong is refused everywhere. docs/guides/claims.md has the rules and their reasons.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lattice import errors, wasmfile
from lattice.security import keys, tokens
from lattice.security.claims import SECTION_NAMES, Claims, decode_token, hash_without_token, token_in
from lattice.security.settings import ActorTrust

CLOCK_LEEWAY_S = 60.0
"""How far the clock of whoever signed may be from a host's: machines without a time service drift by seconds a week."""
ANYONE = ActorTrust(unsigned=True)
"""Any issuer, and unsigned modules: what is left is whether a token that is there is genuine."""

SIGN_AGAIN = "sign it again: lattice claims sign FILE"


class Problem(msgspec.Struct, frozen=True):
    """One reason to refuse a module, and what to do."""

    message: str
    remedy: str = ""


class Examined(msgspec.Struct, frozen=True):
    """`claims` are None without a token that can be read; they are verified only when there is no problem."""

    claims: Claims | None
    problems: tuple[Problem, ...]


def admit(wasm: bytes, file: wasmfile.WasmFile, trust: ActorTrust, now: float) -> Claims | None:
    """The verified claims of a module that may run; None for an unsigned one where these are allowed.

    `now` is in seconds since 1970. Raises `errors.NotAdmitted` that says everything that is wrong.
    """
    return _admitted(examine(wasm, file, trust, now))


def verify_token(token: bytes, trust: ActorTrust, now: float) -> Claims:
    """The claims of an actor's token that came without its module: all is checked but the module's hash. Raises
    `errors.NotAdmitted`."""
    claims = _admitted(_examine_token(token, trust, now))
    assert claims is not None, "without a problem there are claims"
    return claims


def _admitted(examined: Examined) -> Claims | None:
    if examined.problems:
        first = examined.problems[0]
        message = "; and ".join(problem.message for problem in examined.problems)
        raise errors.NotAdmitted(message, remedy=first.remedy)
    return examined.claims


def examine(wasm: bytes, file: wasmfile.WasmFile, trust: ActorTrust, now: float) -> Examined:
    """Everything that is wrong with a module's token, for people who look at it."""
    try:
        token = token_in(wasm, file)
    except errors.ArtifactError as error:
        return Examined(None, (Problem(error.message, error.remedy),))
    if token is None:
        return Examined(None, () if trust.unsigned else (_UNSIGNED,))
    found = _examine_token(token, trust, now)
    claims = found.claims
    if claims is None or claims.legacy or claims.hash == hash_without_token(wasm, file):
        return found
    wrong = Problem("the token was made for another module, or the module was changed since", SIGN_AGAIN)
    return Examined(msgspec.structs.replace(claims, verified=False), (wrong, *found.problems))


_UNSIGNED = Problem(
    f"the module is not signed (no section {' or '.join(SECTION_NAMES)}), and this host runs signed ones only",
    "lattice claims sign FILE, by an account that the host trusts; or start the host with --allow-unsigned",
)


def _examine_token(token: bytes, trust: ActorTrust, now: float) -> Examined:
    try:
        claims = decode_token(token)
        parts = tokens.split(token)
    except errors.LatticeError as error:
        return Examined(None, (Problem(error.message, SIGN_AGAIN),))
    problems: list[Problem] = []
    if claims.legacy:
        problems.append(Problem("the token has the layout of 2019, which is shown and not run", SIGN_AGAIN))
    try:
        tokens.require_signature(parts, claims.issuer, "account")
    except errors.TokenInvalid as error:
        problems.append(Problem(error.message, SIGN_AGAIN))
    try:
        keys.decode_public(claims.subject, "actor")
    except errors.ConfigError:
        problems.append(Problem(f"the token is about {claims.subject[:60]!r}, which is no actor's key", SIGN_AGAIN))
    try:
        require_current(claims, now)
    except errors.NotAdmitted as error:
        problems.append(Problem(error.message, error.remedy))
    if trust.issuers is not None and claims.issuer not in trust.issuers:
        problems.append(
            Problem(
                f"the token was signed by {claims.issuer[:60]!r}, which this host does not trust",
                "start the host with --trust and the account's key, or sign by an account that it trusts",
            )
        )
    return Examined(msgspec.structs.replace(claims, verified=not problems), tuple(problems))


def require_current(claims: Claims, now: float) -> None:
    """Raises `errors.NotAdmitted` for claims that are not valid yet or not any more. When they were issued says nothing
    of that: builds that can be repeated give any time."""
    try:
        tokens.require_time(now, issued=None, nbf=claims.nbf, expires=claims.expires, leeway_s=CLOCK_LEEWAY_S)
    except errors.TokenInvalid as error:
        raise errors.NotAdmitted(error.message, remedy=error.remedy or SIGN_AGAIN) from error


def key_for(key: str, claims: Claims | None) -> str:
    """The key under which a module runs: the one that its claims name, else the one it is given.

    Raises `errors.NotAdmitted` for a key that looks like somebody's public key and is not proved by a signature: calls
    that are meant for the owner of that key would go to whoever took it.
    """
    claimed = claims.subject if claims is not None else ""
    if keys.resembles(key, "actor") and key != claimed:
        is_what = f"signed for {claimed}" if claimed else "not signed"
        raise errors.NotAdmitted(
            f"it is to run as {key}, and is {is_what}",
            remedy="sign it for that key (lattice claims sign FILE --subject), or give the component another id",
        )
    if not claimed and keys.resembles(key, *keys.PUBLIC_ROLES):
        raise errors.NotAdmitted(f"{key} is a public key and no id of an actor", remedy="give the component another id")
    return claimed or key


def require_alias(alias: str) -> None:
    """Raises `errors.NotAdmitted` for an alias that others would take for a key."""
    if keys.resembles(alias, *keys.PUBLIC_ROLES):
        raise errors.NotAdmitted(f"the call alias {alias} looks like a public key", remedy="choose another alias")


def succession(
    running: Claims | None, new: Claims | None, trust: ActorTrust, *, same: bool, back: bool = False
) -> Literal["replace", "restart"]:
    """How an admitted image may follow the one that runs under the same key: in its place while that serves, or only
    after that has ended.

    `same`: both are the same bytes. `back`: somebody asked for an earlier revision, which is a stop and a start. Raises
    `errors.NotAdmitted` for an image that may do neither.
    """
    if same or running is None:
        return "replace"
    if new is None:
        raise errors.NotAdmitted("it is not signed, and the revision that runs is", remedy=SIGN_AGAIN)
    if new.issuer != running.issuer and trust.issuers is None:
        # An account may sign for any actor's key. Where every account is trusted, only the one that made the running
        # revision can say what follows it; where accounts are named, all of them may.
        raise errors.NotAdmitted(
            f"it was signed by {new.issuer}, and the revision that runs by {running.issuer}",
            remedy="name the accounts that the host trusts, or stop the actor and start it anew",
        )
    if (new.rev or 0) > (running.rev or 0):
        return "replace"
    if back:
        return "restart"
    raise errors.NotAdmitted(
        f"its revision is {new.rev or 0}, and {running.rev or 0} runs: a live update needs a greater one",
        remedy="sign it with a greater --rev; an older one runs again by lattice app rollback, or a stop and a start",
    )
