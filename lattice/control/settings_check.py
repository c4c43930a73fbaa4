"""Checks what a manifest names against what is there: the settings its providers take, the images it can run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from lattice import errors
from lattice.artifacts.actor_image import read_image, require_exported
from lattice.artifacts.reference import parse
from lattice.control.manifest import LABEL, Application, require_supported
from lattice.guests import require_guest
from lattice.provider import Provider, Settings, validated
from lattice.secretref import SecretRef
from lattice.security.admission import ANYONE, key_for

TypeOf: TypeAlias = Callable[[str], type[Provider[Any, Any]]]
"""The provider behind builtin://NAME. Raises `errors.ConfigError` when it cannot be imported."""


def check_application(application: Application, type_of: TypeOf) -> None:
    """`check_settings`, and the images: raises `errors.ManifestError` for the first mistake, as that does."""
    _raise_first([*_mistakes(application, type_of), *_images(application)])


def check_settings(application: Application, type_of: TypeOf) -> None:
    """Raises `errors.ManifestError` for the first setting that a provider does not take, the rest in its `others`."""
    _raise_first(list(_mistakes(application, type_of)))


def _raise_first(found: list[errors.ManifestError]) -> None:
    found.sort(key=lambda error: error.line)
    if found:
        found[0].others = tuple(found[1:])
        raise found[0]


def _images(application: Application) -> Iterator[errors.ManifestError]:
    """Files are looked at, not compiled; of registries only the names are. Whether the hosts trust who signed them is
    not known here."""
    interfaces: dict[str, frozenset[str] | None] = {}
    for component in application.components:
        path, file = component.image.path, application.file
        try:
            require_supported(component)
            if component.image.kind == "oci":
                parse(component.image.name)
            if path is not None:
                image = read_image(path, ANYONE, time.time())
                key_for(component.id, image.claims)
                interfaces[component.name] = image.interfaces
                try:
                    require_guest(image.file.guest, component.surroundings)
                except (errors.ConfigError, errors.UnsupportedGuest) as error:
                    raise errors.ConfigError(f"{component.name}: {path}: {error}", remedy=error.remedy) from error
        except (errors.ConfigError, errors.ArtifactError) as error:
            yield _placed(error, file, component.line)
    for link in application.links:
        try:
            if link.source in interfaces:
                require_exported(link.contract, link.target, interfaces.get(link.target))
        except errors.ConfigError as error:
            yield _placed(error, application.file, link.line)


def _mistakes(application: Application, type_of: TypeOf) -> Iterator[errors.ManifestError]:
    types: dict[str, type[Provider[Any, Any]]] = {}
    for component in application.components:
        if component.image.kind != "builtin":
            continue
        try:
            types[component.name] = type_of(component.image.name)
            _check(
                types[component.name].settings_type, component.config, component.secrets, f"{component.name}: config"
            )
        except errors.ConfigError as error:
            yield _placed(error, application.file, component.line)
    for link in application.links:
        where = f"link from {link.source} to {link.target}"
        try:
            # What was granted without a configuration has that of the link that it stands on.
            if link.target in types and (link.target_config or link.target_secrets or not link.granted_by):
                type_ = types[link.target].attach_settings_type
                _check(type_, link.target_config, link.target_secrets, f"{where}: target_config")
            if link.source in types:
                type_ = types[link.source].route_settings_type
                _check(type_, link.source_config, link.source_secrets, f"{where}: source_config")
        except errors.ConfigError as error:
            yield _placed(error, application.file, link.line)


def _check(type_: type[Settings], values: dict[str, str], secrets: tuple[SecretRef, ...], where: str) -> None:
    """As `validated`, but for values that only the host knows, by its labels or as secrets: then the keys are
    checked."""
    if not secrets and not any(LABEL.search(value) for value in values.values()):
        validated(type_, values, where)
        return
    for key in (*values, *(reference.name for reference in secrets)):
        if key not in type_.model_fields:
            raise errors.ConfigError(
                f"{where}: {key}: no such key; known keys: {', '.join(sorted(type_.model_fields))}"
            )


def _placed(error: errors.LatticeError, file: str, line: int) -> errors.ManifestError:
    placed = errors.ManifestError(error.message, file=file, line=line, remedy=error.remedy)
    placed.__cause__ = error
    return placed
