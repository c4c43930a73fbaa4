"""What a manifest says, as frozen records. Every value is checked; nothing is left to look up but the images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from lattice import links
from lattice.config import Limits, Surroundings
from lattice.secretref import SecretRef

LABEL = re.compile(r"\$\{label:([A-Za-z0-9._-]{1,100})\}")
"""A place in a configuration value where the label of the host stands on which the component runs."""


class Reference(msgspec.Struct, frozen=True):
    """Where the code of a component comes from. `text` is what the manifest says.

    `path` is absolute and set for kind "file"; `name` is the provider's name for kind "builtin" and the reference
    without a scheme for kind "oci". A "stored" one lies in the lattice's own store, under its digest.
    """

    text: str
    kind: Literal["file", "builtin", "oci", "stored"]
    path: Path | None = None
    name: str = ""

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.path.name if self.path is not None else self.name or self.text


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`source` and `target` are names of components, and so is `granted_by`, "" for a link that stands by itself.
    `contract` is "" for calls from actor to actor by key or alias."""

    source: str
    target: str
    contract: str
    name: str = links.DEFAULT_LINK
    source_config: dict[str, str] = {}
    target_config: dict[str, str] = {}
    granted_by: str = ""
    operations: tuple[str, ...] = ()
    source_secrets: tuple[SecretRef, ...] = ()
    target_secrets: tuple[SecretRef, ...] = ()
    line: int = 0


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the replicas for the hosts that carry these labels. `fallback`: where the share goes while no host
    does, to the hosts of `other` entries or to `none`."""

    name: str
    requirements: dict[str, str] = {}
    weight: int = 100
    fallback: Literal["other", "none"] = "other"


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """`replicas` in the lattice, or with `on_every_host` on each host that a spread entry allows."""

    replicas: int = 1
    on_every_host: bool = False
    spread: tuple[Spread, ...] = ()


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """An actor or a provider. `contract` is a provider's, "" where only the provider itself knows it."""

    name: str
    kind: Literal["actor", "provider"]
    image: Reference
    contract: str = ""
    id: str = ""
    alias: str = ""
    config: dict[str, str] = {}
    secrets: tuple[SecretRef, ...] = ()
    limits: Limits = Limits()
    surroundings: Surroundings = Surroundings()
    scaling: Scaling = Scaling()
    links: tuple[LinkSpec, ...] = ()
    """Links whose source this component is."""
    line: int = 0

    @property
    def replicas(self) -> int:
        return self.scaling.replicas


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The whole manifest. `file` is the path it was read from, "" for text."""

    name: str
    version: str = ""
    description: str = ""
    components: tuple[Component, ...]
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    file: str = ""

    @property
    def links(self) -> tuple[LinkSpec, ...]:
        return tuple(link for component in self.components for link in component.links)

    def component(self, name: str) -> Component:
        """The component of this name. Raises `KeyError`."""
        for component in self.components:
            if component.name == name:
                return component
        raise KeyError(name)


def component_key(application: str, component: Component) -> str:
    """The public id of a component: the one it is given, else of application and name."""
    return component.id or f"{application}-{component.name}"
