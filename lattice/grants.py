"""What an actor holds: contracts by its own claims, or by what another actor has passed on to it. Pure.

An actor that has a link to a provider may pass it on: a link of another actor to the same provider says
`granted_by`. The other then holds no more than the first has: the same configuration, no further operations, and only
for as long as the first has its own link and its claims hold the contract. What is passed on may be passed on again.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from lattice import errors
from lattice.links import Link
from lattice.secretref import SecretRef
from lattice.security.claims import Claims
from lattice.security.globs import Glob, any_matches, glob

GRANTS_MAX = 8
"""Links from one that stands on others to the one that they all stand on: each is looked at for each decision."""
OPERATIONS_MAX = 64
"""Patterns of a link: the largest contract has fewer than twenty operations."""
OPERATION_CHARS_MAX = 100


class _Unsigned(enum.Enum):
    UNSIGNED = "unsigned"


UNSIGNED = _Unsigned.UNSIGNED
"""In place of claims: an actor that this host runs without any."""

Known: TypeAlias = Claims | Literal[_Unsigned.UNSIGNED]
Held: TypeAlias = Known | None
"""What is known of an actor's claims; None: nothing."""
ClaimsOf: TypeAlias = Callable[[str, str], Held]
"""By the actor's key and the host that it calls from, "" for this one. With "" also those of actors elsewhere in the
lattice, as far as they are known here."""
Between: TypeAlias = Callable[[str, str, str], Mapping[str, Link]]
"""Links by link name, for (source, target, contract)."""


class Grant(msgspec.Struct, frozen=True):
    """What a link comes to: whose claims have to hold its contract, and what passes. Empty `operations`: all."""

    holder: str
    config: Mapping[str, str]
    operations: tuple[Glob, ...]
    secrets: tuple[SecretRef, ...] = ()
    """The rest of the configuration, which hosts look up."""

    def passes(self, operation: str) -> bool:
        return not self.operations or any_matches(self.operations, operation)


def traced(link: Link, between: Between) -> Grant:
    """What a link comes to, through all by which it was granted. Raises `errors.NotGranted` for one that says more
    than it was granted, or that stands on nothing."""
    if not link.granted_by:
        return Grant(link.source, link.target_config, _globs(link.operations), link.target_secrets)
    chain = [link]
    sources = {link.source}
    while chain[-1].granted_by:
        child = chain[-1]
        if child.granted_by in sources:
            raise errors.NotGranted(f"{link}: it is granted in a circle, by {child.granted_by}")
        if len(chain) > GRANTS_MAX:
            raise errors.NotGranted(f"{link}: it is passed on more than {GRANTS_MAX} times")
        sources.add(child.granted_by)
        chain.append(_granter(child, between))
    root = chain.pop()
    operations = _globs(root.operations)
    for child in reversed(chain):
        own = (child.target_config, child.target_secrets)
        if any(own) and own != (root.target_config, root.target_secrets):
            raise errors.NotGranted(
                f"{child}: its configuration is another than that of {child.granted_by}, who grants it",
                remedy="leave out target_config and secrets: they are then those of the one who grants",
            )
        operations = _narrowed(child, operations)
    return Grant(root.source, root.target_config, operations, root.target_secrets)


def _granter(child: Link, between: Between) -> Link:
    """The link that another stands on: of the same name, or the only one."""
    links = between(child.granted_by, child.target, child.contract)
    found = links.get(child.name)
    if found is None:
        if len(links) > 1:
            raise errors.NotGranted(
                f"{child}: {child.granted_by}, who grants it, has several links of that kind",
                remedy=f"give it the name of the one that is meant: {', '.join(sorted(links))}",
            )
        found = next(iter(links.values()), None)
    if found is None:
        raise errors.NotGranted(
            f"{child}: {child.granted_by}, who grants it, has no link for {child.contract} to {child.target}",
            remedy="only what one holds can be passed on",
        )
    return found


def _narrowed(child: Link, operations: tuple[Glob, ...]) -> tuple[Glob, ...]:
    own = _globs(child.operations)
    for pattern in own:
        if operations and not any(one.covers(pattern) for one in operations):
            raise errors.NotGranted(
                f"{child}: {pattern.text} is not among the operations that {child.granted_by} may pass on:"
                f" {', '.join(one.text for one in operations)}"
            )
    return own or operations


def _globs(patterns: Iterable[str]) -> tuple[Glob, ...]:
    return tuple(glob(pattern) for pattern in patterns)


def among(links: Iterable[Link]) -> Between:
    """How links are found that are in no table yet."""
    by_pair: dict[tuple[str, str, str], dict[str, Link]] = {}
    for link in links:
        by_pair.setdefault((link.source, link.target, link.contract), {})[link.name] = link
    return lambda source, target, contract: by_pair.get((source, target, contract), {})


def inherited(links: Iterable[Link]) -> list[Link]:
    """The same links, with the configuration that granted ones left out. One whose grant does not hold stays as it is:
    its calls are refused."""
    links = list(links)
    between = among(links)
    found = []
    for link in links:
        if link.granted_by and not link.target_config and not link.target_secrets:
            with contextlib.suppress(errors.NotGranted):
                grant = traced(link, between)
                link = msgspec.structs.replace(link, target_config=dict(grant.config), target_secrets=grant.secrets)
        found.append(link)
    return found


def require_sound(link: Link) -> None:
    """Raises `errors.ConfigError` for a link that could not mean anything, whatever other links there are."""
    if len(link.operations) > OPERATIONS_MAX:
        raise errors.ConfigError(f"{link}: {len(link.operations)} operations; at most {OPERATIONS_MAX} are kept")
    for operation in link.operations:
        if not operation or len(operation) > OPERATION_CHARS_MAX:
            raise errors.ConfigError(
                f"{link}: {operation[:OPERATION_CHARS_MAX]!r} is no operation",
                remedy=f"1 to {OPERATION_CHARS_MAX} letters, such as KeyValue.Get or KeyValue.*",
            )
    if not link.granted_by:
        return
    if link.granted_by == link.source:
        raise errors.ConfigError(f"{link}: an actor grants nothing to itself", remedy="leave out granted_by")
    if not link.contract or link.configures_source:
        raise errors.ConfigError(
            f"{link}: only a link from an actor to a provider can be granted",
            remedy="leave out granted_by",
        )


def require_given(link: Link, between: Between, claims_of: ClaimsOf) -> None:
    """For a link that is about to be given. Raises `errors.ConfigError` for one that `require_sound` refuses, that says
    more than is held, or whose holder is known not to hold its contract."""
    require_sound(link)
    if not link.granted_by:
        return
    try:
        holder = traced(link, between).holder
        held = claims_of(holder, "")
        if isinstance(held, Claims):
            require_held(holder, held, link.contract)
    except errors.NotGranted as error:
        raise errors.ConfigError(error.message, remedy=error.remedy) from error


def require_held(actor: str, held: Known, contract: str) -> None:
    """Raises `errors.NotGranted` unless the claims of `actor`, as it is shown to people, hold the contract. An actor
    without claims holds what its links give."""
    if held is UNSIGNED or contract in held.caps:
        return
    caps = ", ".join(held.caps) or "no contract at all"
    raise errors.NotGranted(
        f"{actor} may not use {contract}: its claims hold {caps}",
        remedy=f"lattice claims sign … --cap {contract}",
    )
