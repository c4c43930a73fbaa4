"""Stored state folded into what is wanted. Pure: every host that has read the same records wants the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from lattice import grants
from lattice.control.records import ApplicationRecord
from lattice.control.state import Desired, Wanted
from lattice.links import Link

LinkIdentity = tuple[str, str, str, str]


def fold(records: Iterable[ApplicationRecord], links_by_hand: Iterable[Link], revision: int) -> Desired:
    """The deployed versions of all applications, and links that were put by hand, which stand above theirs: what a
    caller means by a contract and a name leads to the last of these. Routes, which have a configuration for their
    source, stand beside each other.

    A link that was granted and says no configuration gets that of the link that it stands on.

    Of two applications that use one key or alias, the one deployed first keeps it, and the other has a problem.
    """
    wanted: dict[str, Wanted] = {}
    aliases: dict[str, Wanted] = {}
    links: dict[LinkIdentity, Link] = {}
    problems: dict[str, str] = {}
    for record in sorted((record for record in records if record.deployed), key=lambda one: (one.since, one.name)):
        version = record.version(record.deployed)
        if version is None:
            problems[record.name] = f"version {record.deployed} is deployed and not there any more"
            continue
        clash = _clash(version.wanted, wanted, aliases)
        if clash:
            problems[record.name] = clash
            continue
        goes_back = _came_by(record) == "rollback"
        for one in version.wanted:
            wanted[one.key] = msgspec.structs.replace(one, goes_back=goes_back)
            if one.alias:
                aliases[one.alias] = one
        for link in version.links:
            links[identity(link)] = link
    for link in links_by_hand:
        if link.contract and not link.configures_source:
            for known in [key for key in links if key[:3] == identity(link)[:3] and not links[key].configures_source]:
                del links[known]
        links[identity(link)] = link
    return Desired(wanted=wanted, links=tuple(grants.inherited(links.values())), problems=problems, revision=revision)


def _came_by(record: ApplicationRecord) -> str:
    """What was done last to make its deployed version run: "deploy" or "rollback"."""
    done = (step.action for step in reversed(record.history) if step.action in ("deploy", "rollback"))
    return next(done, "deploy")


def identity(link: Link) -> LinkIdentity:
    """What makes two links the same: a provider may have several of one contract and name, to different targets."""
    return link.source, link.contract, link.name, link.target


def digest(desired: Desired) -> str:
    """Equal for equal wishes, whatever their revisions."""
    said = msgspec.json.encode(
        (
            sorted((key, wanted.version, wanted.fingerprint) for key, wanted in desired.wanted.items()),
            sorted((_said(link) for link in desired.links), key=lambda said: said[0]),
        )
    )
    return hashlib.sha256(said).hexdigest()[:16]


def _said(link: Link) -> tuple[Any, ...]:
    """What makes two links equal. What a link does not have is left out, as hosts of versions before leave it out."""
    said = (identity(link), sorted(link.source_config.items()), sorted(link.target_config.items()))
    granted = (link.granted_by, link.operations) if link.granted_by or link.operations else ()
    secrets = (link.source_secrets, link.target_secrets) if link.source_secrets or link.target_secrets else ()
    return *said, *granted, *secrets


def _clash(new: Iterable[Wanted], wanted: dict[str, Wanted], aliases: dict[str, Wanted]) -> str:
    for one in new:
        other = wanted.get(one.key)
        if other is not None:
            return f"the id {one.key} of {one.name} is taken by {other.name} of the application {other.application}"
        other = aliases.get(one.alias) if one.alias else None
        if other is not None:
            return f"the alias {one.alias} of {one.name} is taken by {other.name} of {other.application}"
    return ""
