"""What a WASI command or a component finds around it: `environment`, `volumes`, `sockets` and `entrypoint` of an
actor's properties."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lattice import endpoints, errors
from lattice.config import Surroundings, Volume
from lattice.control.manifest import document
from lattice.control.manifest.document import Node
from lattice.control.manifest.reader import Fields, Reader

KEYS = ("environment", "volumes", "sockets", "entrypoint")

VOLUMES_MAX = 16
"""Folders of one command; each keeps a descriptor open."""
SOCKETS_MAX = 64
"""Places of one component: each connection is held against all of them."""
VARIABLES_MAX = 200
"""Variables of one command, and as many as any program reads."""
VALUE_CHARS_MAX = 8 * 1024
"""One variable: they are copied into the memory of each instance."""
_NAME = re.compile(r"[^=\0]{1,200}")
_ENTRYPOINT = re.compile(r"[!-~]{1,200}")
_GUEST_PATH = re.compile(r"[^\0]{1,200}")


def read_surroundings(reader: Reader, properties: Fields, folder: Path) -> Surroundings:
    """The four properties; paths on the host are relative to `folder`."""
    environment_node = properties.get("environment")
    environment = reader.strings(environment_node, "environment")
    if environment_node is not None and (mistake := variables_mistake(environment)):
        reader.mistake(environment_node, mistake)
    entrypoint_node = properties.get("entrypoint")
    entrypoint = reader.word(entrypoint_node, "entrypoint") or Surroundings().entrypoint
    if entrypoint_node is not None and not is_entrypoint(entrypoint):
        reader.mistake(entrypoint_node, f"entrypoint {entrypoint[:100]!r} cannot be the name of a function")
    volumes_node = properties.get("volumes")
    volumes = tuple(_volumes(reader, volumes_node, folder))
    if volumes_node is not None and (mistake := volumes_mistake(volumes)):
        reader.mistake(volumes_node, mistake)
    sockets = tuple(_sockets(reader, properties.get("sockets")))
    return Surroundings(environment=environment, volumes=volumes, sockets=sockets, entrypoint=entrypoint)


def _sockets(reader: Reader, node: Node | None) -> Iterable[str]:
    for number, item in enumerate(reader.items(node, "sockets")):
        if number == SOCKETS_MAX:
            reader.mistake(item, f"sockets has more than {SOCKETS_MAX} places")
            return
        written = reader.word(item, "a place of sockets")
        try:
            endpoints.parse(written)
        except errors.ConfigError as error:
            reader.mistake(item, f"{error.message}; {error.remedy}")
        else:
            yield written


def _volumes(reader: Reader, node: Node | None, folder: Path) -> Iterable[Volume]:
    """A list of {host, guest, writable}; or a mapping of guest paths to host paths, as WAGI has them."""
    if isinstance(node, document.Mapping):
        for guest, host in reader.strings(node, "volumes").items():
            yield Volume(host=host_path(folder, host), guest=guest)
        return
    for item in reader.items(node, "volumes"):
        fields = reader.fields(item, "a volume", ("host", "guest", "writable"), required=item)
        host = reader.word(fields.require("host"), "host")
        guest = reader.word(fields.require("guest"), "guest")
        writable_node = fields.get("writable")
        writable = reader.word(writable_node, "writable")
        if writable_node is not None and writable not in ("true", "false"):
            reader.mistake(writable_node, f"writable is true or false, not {writable[:100]!r}")
        if host and guest:
            yield Volume(host=host_path(folder, host), guest=guest, writable=writable == "true")


def host_path(folder: Path, written: str) -> str:
    return str((folder / written).absolute())


def is_entrypoint(name: str) -> bool:
    return _ENTRYPOINT.fullmatch(name) is not None


def variables_mistake(environment: Mapping[str, str]) -> str:
    """What is wrong with these variables, or ""."""
    if len(environment) > VARIABLES_MAX:
        return f"environment has more than {VARIABLES_MAX} variables"
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            return f"environment: {name[:100]!r} cannot be the name of a variable"
        if "\0" in value or len(value) > VALUE_CHARS_MAX:
            return f"environment: {name[:100]} has a NUL in it or is longer than {VALUE_CHARS_MAX} characters"
    return ""


def volumes_mistake(volumes: tuple[Volume, ...]) -> str:
    """What is wrong with these volumes, or ""."""
    if len(volumes) > VOLUMES_MAX:
        return f"there are more than {VOLUMES_MAX} volumes"
    seen: set[str] = set()
    for volume in volumes:
        if not _GUEST_PATH.fullmatch(volume.guest) or "\0" in volume.host:
            return f"volumes: {volume.guest[:100]!r} cannot be a path"
        if volume.guest in seen:
            return f"volumes: {volume.guest[:100]!r} is there twice"
        seen.add(volume.guest)
    return ""
