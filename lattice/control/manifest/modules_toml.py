"""`modules.toml`, the file of WAGI: modules and their routes, as an application with one HTTP server.

Modules that are the same but for their route are one actor with several links. Source: the WAGI documentation of the
file; what it can say and this host cannot do is a mistake with its line, and is not ignored.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lattice import errors, wasmfile
from lattice.config import Surroundings, Volume
from lattice.contracts import httpserver
from lattice.control.manifest.records import Application, Component, LinkSpec, Reference
from lattice.control.manifest.surroundings import host_path, is_entrypoint, variables_mistake, volumes_mistake

MODULES_MAX = 500
"""Modules of one file; each is a route, and most are an actor."""
HTTP = "http"
"""The component that answers requests."""
_KNOWN = frozenset(
    {"module", "route", "host", "entrypoint", "environment", "volumes", "allowed_hosts", "http_max_concurrency"}
)
_UNSUPPORTED = {
    "bindle_server": "modules come from files or registries here: name one with module in each [[module]]",
    "default_host": "routes without a host take every host here: name one with host in each [[module]]",
}
_OCI = re.compile(r"oci:(//)?(?P<name>[\w.-]+(:[0-9]+)?(/[\w.-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?)", re.ASCII)


class _Module(NamedTuple):
    """One [[module]]: `route` is a link's configuration."""

    image: Reference
    surroundings: Surroundings
    route: dict[str, str]
    line: int


class ModulesFile:
    """Reads one file; mistakes are noted with their lines and raised at the end."""

    def __init__(self, text: str, file: str, folder: Path, exists: Callable[[Path], bool] | None) -> None:
        self._lines = text.splitlines()
        self._file = file
        self._folder = folder
        self._exists = exists
        self._heads = [
            number for number, line in enumerate(self._lines, 1) if re.match(r"\s*\[\[\s*module\s*\]\]", line)
        ]
        self._problems: list[errors.ManifestError] = []

    def read(self, document: dict[str, Any]) -> Application:
        """Raises `errors.ManifestError` for the first mistake, the rest in its `others`."""
        for key in document:
            if key not in ("module", "address"):
                self._mistake(self._line(0, key), f"{key!r} is not known here", _UNSUPPORTED.get(key, ""))
        address = self._text(0, "address", document.get("address", ""))
        entries = document.get("module", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._mistake(1, "modules are written as [[module]]")
            entries = []
        if not entries and not self._problems:
            self._mistake(1, "there is no [[module]]")
        if len(entries) > MODULES_MAX:
            self._mistake(self._line(MODULES_MAX, ""), f"there are more than {MODULES_MAX} modules")
        modules = [self._module(number, entry) for number, entry in enumerate(entries[:MODULES_MAX])]
        if self._problems:
            self._problems.sort(key=lambda problem: problem.line)
            first, *others = self._problems
            first.others = tuple(others)
            raise first
        return self._application(address, modules)

    def _application(self, address: str, modules: list[_Module]) -> Application:
        components: dict[tuple[str, str], Component] = {}
        links: list[LinkSpec] = []
        taken = {HTTP}
        for image, surroundings, route, line in modules:
            same = (image.text, repr(surroundings))
            if same not in components:
                name = _free_name(Path(image.text).stem, taken)
                components[same] = Component(name=name, kind="actor", image=image, surroundings=surroundings, line=line)
            target = components[same].name
            links.append(
                LinkSpec(
                    source=HTTP,
                    target=target,
                    contract=httpserver.CONTRACT.id,
                    name=f"route-{len(links) + 1}",
                    source_config=route,
                    line=line,
                )
            )
        server = Component(
            name=HTTP,
            kind="provider",
            image=Reference("builtin://http-server", "builtin", name="http-server"),
            contract=httpserver.CONTRACT.id,
            config={"address": address} if address else {},
            links=tuple(links),
        )
        name = _free_name(self._folder.name, set())
        return Application(name=name, components=(*components.values(), server), file=self._file)

    def _module(self, number: int, entry: dict[str, Any]) -> _Module:
        for key in entry:
            if key not in _KNOWN:
                parcel = key in ("bindle", "parcel")
                message = "bindles are not supported" if parcel else f"a module has no key {key!r}"
                remedy = "name the file with module" if parcel else f"known here: {', '.join(sorted(_KNOWN))}"
                self._mistake(self._line(number, key, entry=True), message, remedy)
        if entry.get("allowed_hosts"):
            self._mistake(
                self._line(number, "allowed_hosts", entry=True),
                "allowed_hosts is not supported: commands make no requests here",
                "write what makes requests as a waPC actor with an HTTP client",
            )
        concurrency = entry.get("http_max_concurrency", 1)
        if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
            self._mistake(
                self._line(number, "http_max_concurrency", entry=True), "http_max_concurrency is a number from 1"
            )
        line = self._line(number, "", entry=True)
        image = self._image(number, entry)
        surroundings = self._surroundings(number, entry)
        return _Module(image, surroundings, self._route(number, entry, image), line)

    def _image(self, number: int, entry: dict[str, Any]) -> Reference:
        text = self._text(number + 1, "module", entry.get("module", ""))
        line = self._line(number, "module", entry=True)
        if not text:
            if "module" not in entry:
                self._mistake(line, "a module has no 'module', the file of its code")
            return Reference("", "file")
        if found := _OCI.fullmatch(text):
            return Reference(text, "oci", name=found["name"])
        if text.startswith(("bindle:", "parcel:")):
            self._mistake(line, "bindles are not supported", "name a file")
            return Reference(text, "file")
        scheme = re.match(r"[a-z][a-z0-9+.-]+:", text)
        if scheme and scheme[0] != "file:":
            self._mistake(line, f"module {text[:200]!r} is neither a file nor in a registry (oci:NAME)")
            return Reference(text, "file")
        name = text.removeprefix("file://").removeprefix("file:")
        path = Path(host_path(self._folder, name)) if "\0" not in name else None
        if path is None or (self._exists is not None and not self._exists(path)):
            self._mistake(
                line, f"there is no file {path or name!r}", "paths are relative to the folder of modules.toml"
            )
        return Reference(f"file://{path}", "file", path=path)

    def _surroundings(self, number: int, entry: dict[str, Any]) -> Surroundings:
        line = self._line(number, "entrypoint", entry=True)
        entrypoint = self._text(number + 1, "entrypoint", entry.get("entrypoint", "")) or "_start"
        if not is_entrypoint(entrypoint):
            self._mistake(line, f"entrypoint {entrypoint[:100]!r} cannot be the name of a function")
        environment: dict[str, str] = {}
        for key, value in self._table(number, "environment", entry).items():
            environment[key] = self._text(number + 1, "environment", value)
        if mistake := variables_mistake(environment):
            self._mistake(self._line(number, "environment", entry=True), mistake)
        volumes = tuple(self._volumes(number, entry))
        if mistake := volumes_mistake(volumes):
            self._mistake(self._line(number, "volumes", entry=True), mistake)
        return Surroundings(environment=environment, volumes=volumes, entrypoint=entrypoint)

    def _volumes(self, number: int, entry: dict[str, Any]) -> Iterable[Volume]:
        """Guest paths and the folders they are; or, beyond WAGI, `{path = "...", writable = true}`."""
        for guest, value in self._table(number, "volumes", entry).items():
            writable: Any = False
            if isinstance(value, dict) and value.keys() <= {"path", "writable"}:
                writable, value = value.get("writable", False), value.get("path", "")
            if not isinstance(value, str) or not value or "\0" in value or not isinstance(writable, bool):
                self._mistake(
                    self._line(number, "volumes", entry=True),
                    f"the volume {guest[:100]!r} is no folder",
                    'write "/in/the/guest" = "/on/the/host", or {path = "/on/the/host", writable = true}',
                )
                continue
            yield Volume(host=host_path(self._folder, value), guest=guest, writable=writable)

    def _route(self, number: int, entry: dict[str, Any], image: Reference) -> dict[str, str]:
        """As the HTTP server has it: `/a/...` of WAGI is `/a` there, and `/a` is `=/a`."""
        route = self._text(number + 1, "route", entry.get("route", ""))
        line = self._line(number, "route", entry=True)
        if not route.startswith("/") or "?" in route or "#" in route or "..." in route.removesuffix("/..."):
            self._mistake(
                line, f"route {route[:200]!r} is no path", "write /a for itself alone, /a/... for all below it"
            )
            return {}
        below = route.endswith("/...")
        path = route.removesuffix("/...") or "/"
        host = self._text(number + 1, "host", entry.get("host", ""))
        found = {"path": path if below or _has_routes(image) else f"={path}", "client": "true"}
        return {**found, "host": host} if host else found

    def _table(self, number: int, key: str, entry: dict[str, Any]) -> dict[str, Any]:
        value = entry.get(key, {})
        if isinstance(value, dict):
            return value
        self._mistake(self._line(number, key, entry=True), f"{key} has to be a table")
        return {}

    def _text(self, block: int, key: str, value: Any) -> str:
        """`block` counts the [[module]]s from 1; 0 is what stands before them."""
        if isinstance(value, str):
            return value
        line = self._line(block - 1, key, entry=True) if block else self._line(0, key)
        self._mistake(line, f"{key} has to be a text in quotes")
        return ""

    def _line(self, number: int, key: str, *, entry: bool = False) -> int:
        """Where `key` of a [[module]] stands, or with no `entry` that of the file; else where that begins."""
        heads = self._heads
        begin = heads[number] if entry and number < len(heads) else 1
        following = number + 1 if entry else 0
        end = heads[following] if following < len(heads) else len(self._lines) + 1
        place = re.compile(rf"\s*(\[\s*module\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]") if key else None
        for line in range(begin, end):
            if place is not None and place.match(self._lines[line - 1] if line <= len(self._lines) else ""):
                return line
        return begin

    def _mistake(self, line: int, message: str, remedy: str = "") -> None:
        self._problems.append(errors.ManifestError(message, file=self._file, line=line, column=1, remedy=remedy))


def parse_modules(text: str, *, file: str, folder: Path, exists: Callable[[Path], bool] | None = None) -> Application:
    """Reads the text of a `modules.toml`; arguments as `manifest.parse`. Raises `errors.ManifestError`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        found = re.search(r"at line ([0-9]+), column ([0-9]+)", str(error))
        line, column = (int(found[1]), int(found[2])) if found else (0, 0)
        raise errors.ManifestError(f"not TOML: {error}", file=file, line=line, column=column) from error
    return ModulesFile(text, file, folder, exists).read(document)


def _has_routes(image: Reference) -> bool:
    """Whether the module prints routes of its own, which are below the one it is given."""
    if image.path is None:
        return False
    try:
        if image.path.stat().st_size > wasmfile.WASM_BYTES_MAX:
            return False
        described = wasmfile.describe(image.path.read_bytes())
    except (OSError, errors.NotWasm):
        return False  # what is wrong with it is told when it is admitted
    return any(export.name == "_routes" for export in described.exports)


def _free_name(wanted: str, taken: set[str]) -> str:
    """A name for a component or the application, made from a file's."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-_")[:80] or "wagi"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name
