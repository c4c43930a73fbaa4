"""`lattice inspect`: what a .wasm file is, wants, offers and claims, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table


def inspect(
    file: Annotated[Path, typer.Argument(help="A .wasm file.", show_default=False)],
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what a .wasm file is: kind of guest, imports, exports, claims, size and digest.

    The token is verified: who signed, that it is about this file, and its times. Whether a host trusts who signed is
    that host's business. A file without a token is valid, and not signed.

    \b
    Example:
      lattice inspect counter.wasm -o json
    """
    document = describe(file)
    if output is Format.JSON:
        print_json(document)
    else:
        _print(document)
    if not document["valid"]:
        raise typer.Exit(1)


def describe(file: Path) -> dict[str, Any]:
    """The document that `-o json` prints. Raises `errors.ArtifactUnreadable`."""
    import hashlib
    import time

    from lattice import wasmfile
    from lattice.artifacts import module_file
    from lattice.security import admission
    from lattice.security.claims import SECTION_NAMES

    data = module_file.read(file)
    document: dict[str, Any] = {
        "kind": None,
        "valid": False,
        "reason": None,
        "problems": [],
        "signed": False,
        "claims": None,
        "verified": False,
        "imports": [],
        "exports": [],
        "memory": [],
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
    }
    try:
        found = wasmfile.describe(data)
    except errors.ArtifactError as error:
        document["reason"] = str(error)
        document["problems"] = [{"message": error.message, "remedy": error.remedy}]
        return document
    document["kind"] = found.guest
    document["imports"] = [{"module": i.module, "name": i.name, "kind": i.kind} for i in found.imports]
    document["exports"] = [{"name": e.name, "kind": e.kind} for e in found.exports]
    document["memory"] = [
        {"pages_min": m.pages_min, "pages_max": m.pages_max, "imported": m.imported} for m in found.memories
    ]
    examined = admission.examine(data, found, admission.ANYONE, time.time())
    claims, problems = examined.claims, examined.problems
    document["signed"] = bool(found.custom(*SECTION_NAMES))
    document["problems"] = [{"message": problem.message, "remedy": problem.remedy} for problem in problems]
    document["reason"] = "; and ".join(problem.message for problem in problems) or None
    document["valid"] = not problems
    if claims is not None:
        fields = ("name", "issuer", "subject", "rev", "ver", "alias", "issued", "expires", "nbf", "hash", "legacy")
        document["claims"] = {name: getattr(claims, name) for name in fields}
        document["claims"] |= {"caps": list(claims.caps), "tags": list(claims.tags)}
        document["verified"] = claims.verified
    return document


KINDS = {
    "wapc": "waPC actor",
    "component": "component (WASI 0.2)",
    "command": "WASI command",
    "unknown": "WebAssembly that no host can call: neither __guest_call nor _start is exported",
}


def _print(document: dict[str, Any]) -> None:
    rows = [["kind", KINDS.get(document["kind"], "not WebAssembly")]]
    rows += [["size", f"{document['size']} bytes"], ["digest", document["digest"]]]
    rows += [["memory", _memory(memory)] for memory in document["memory"]]
    rows += claim_rows(document)
    rows += [["import", _qualified(item)] for item in document["imports"]]
    rows += [["export", f"{item['name']} ({item['kind']})"] for item in document["exports"]]
    print_table(("property", "value"), rows)


def claim_rows(document: dict[str, Any]) -> list[list[str]]:
    """What a file's token says, for people; before it what is wrong, each problem in its line."""
    rows = []
    for problem in document["problems"]:
        rows.append(["refused", problem["message"]])
        if problem["remedy"]:
            rows.append(["", problem["remedy"]])
    claims = document["claims"]
    if document["verified"]:
        rows.append(["claims", "signed; genuine and valid now"])
    elif document["signed"]:
        rows.append(["claims", "NOT to be believed" if claims else "cannot be read"])
    else:
        rows.append(["claims", "none: the file is not signed"])
    for name, value in (claims or {}).items():
        if value not in (None, "", [], False) and (name, value) != ("issued", 0):
            rows.append([f"  {name}", ", ".join(value) if isinstance(value, list) else _shown(name, value)])
    return rows


def _qualified(item: dict[str, str]) -> str:
    name = f"{item['module']}.{item['name']}" if item["module"] else item["name"]
    return f"{name} ({item['kind']})"


def _memory(memory: dict[str, Any]) -> str:
    most = "no maximum" if memory["pages_max"] is None else f"at most {memory['pages_max']}"
    return f"{memory['pages_min']} pages of 64 KiB, {most}"


def _shown(name: str, value: object) -> str:
    """Times as people read them; a token may hold any number, so also ones that no calendar has."""
    import datetime

    if name in ("issued", "expires", "nbf") and isinstance(value, int):
        try:
            return datetime.datetime.fromtimestamp(value, datetime.UTC).isoformat()
        except (OverflowError, ValueError, OSError):
            return f"{value} seconds after 1970"
    return str(value)
