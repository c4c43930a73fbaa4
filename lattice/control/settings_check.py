"""Checks what a manifest configures against what its providers take, before any of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from lattice import errors
from lattice.control.manifest import Application
from lattice.provider import Provider, validated

TypeOf: TypeAlias = Callable[[str], type[Provider[Any, Any]]]
"""The provider behind builtin://NAME. Raises `errors.ConfigError` when it cannot be imported."""


def check_settings(application: Application, type_of: TypeOf) -> None:
    """Raises `errors.ManifestError` for the first setting that a provider does not take, the rest in its `others`."""
    found = sorted(_mistakes(application, type_of), key=lambda error: error.line)
    if found:
        found[0].others = tuple(found[1:])
        raise found[0]


def _mistakes(application: Application, type_of: TypeOf) -> Iterator[errors.ManifestError]:
    types: dict[str, type[Provider[Any, Any]]] = {}
    for component in application.components:
        if component.image.kind != "builtin":
            continue
        try:
            types[component.name] = type_of(component.image.name)
            validated(types[component.name].settings_type, component.config, f"{component.name}: config")
        except errors.ConfigError as error:
            yield _placed(error, application.file, component.line)
    for link in application.links:
        where = f"link from {link.source} to {link.target}"
        try:
            if link.target in types:
                validated(types[link.target].attach_settings_type, link.target_config, f"{where}: target_config")
            if link.source in types:
                validated(types[link.source].route_settings_type, link.source_config, f"{where}: source_config")
        except errors.ConfigError as error:
            yield _placed(error, application.file, link.line)


def _placed(error: errors.ConfigError, file: str, line: int) -> errors.ManifestError:
    placed = errors.ManifestError(error.message, file=file, line=line, remedy=error.remedy)
    placed.__cause__ = error
    return placed
