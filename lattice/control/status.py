"""How an application is doing, with causes and remedies. Pure: any host can say it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from lattice.control.plan import Plan, Waiting
from lattice.control.records import ApplicationRecord
from lattice.control.state import ActorSeen, Desired, Observed, Wanted

Status = Literal["waiting", "reconciling", "deployed", "failed", "undeployed"]


def status(
    record: ApplicationRecord,
    desired: Desired,
    observed: Observed,
    planned: Plan,
    refused: dict[str, str] | None = None,
) -> dict[str, Any]:
    """{ name, version, status, message, remedy, components: [{ name, key, kind, wanted, running, hosts, status,
    message, remedy }] }. `refused`: links that providers did not take, and why."""
    if not record.deployed:
        left = sorted(
            {
                seen.key
                for host in observed.hosts.values()
                for seen in host.items.values()
                if seen.application == record.name
            }
        )
        message = f"still stopping {', '.join(left)}" if left else "no version is deployed"
        state: Status = "reconciling" if left else "undeployed"
        return _document(record, state, message, "" if left else f"lattice app deploy {record.name}", [])
    problem = desired.problems.get(record.name)
    if problem:
        return _document(record, "failed", problem, "give one of them another id or alias, and deploy that", [])
    waiting = {one.key: one for one in planned.waiting}
    busy = {action.key: action.why for action in planned.actions}
    mine = [wanted for wanted in desired.wanted.values() if wanted.application == record.name]
    links = Counter(key for link in desired.links for key in {link.source, link.target})
    components = [
        _component(wanted, observed, links[wanted.key], waiting.get(wanted.key), busy.get(wanted.key))
        for wanted in mine
    ]
    keys = {wanted.key for wanted in mine}
    for link, why in (refused or {}).items():
        if link.partition(" ")[0] in keys:
            return _document(
                record, "failed", f"a link is refused: {link}: {why}", "correct its configuration", components
            )
    order: tuple[Status, ...] = ("failed", "waiting", "reconciling")
    for state in order:
        for component in components:
            if component["status"] == state:
                message = f"{component['name']}: {component['message']}"
                return _document(record, state, message, component["remedy"], components)
    notes = [f"; {component['name']}: {component['message']}" for component in components if component["message"]]
    return _document(record, "deployed", "everything runs" + "".join(notes), "", components)


def _document(
    record: ApplicationRecord, state: Status, message: str, remedy: str, components: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.deployed,
        "status": state,
        "message": message,
        "remedy": remedy,
        "components": components,
    }


def _component(
    wanted: Wanted, observed: Observed, links: int, waits: Waiting | None, busy: str | None
) -> dict[str, Any]:
    """`links` is how many of the lattice's begin or end at it; `busy` what is about to be done for it."""
    hosts: dict[str, int] = {}
    trouble = ""
    for host in sorted(observed.hosts.values(), key=lambda host: (host.name, host.key)):
        seen = host.items.get(wanted.key)
        if seen is None or host.draining:
            continue
        hosts[host.key] = seen.count if isinstance(seen, ActorSeen) else 1
        if isinstance(seen, ActorSeen):
            continue
        if seen.status in ("failed", "unhealthy"):
            trouble = f"on {host.name or host.key}: {seen.message}"
        elif 0 <= seen.links < links and busy is None:
            why = f": {seen.message}" if seen.message else ""
            busy = f"{host.name or host.key} has taken {seen.links} of {links} links{why}"
    asked = len(hosts) if wanted.scaling.on_every_host else wanted.scaling.replicas
    state: Status = "deployed"
    message, remedy = "", ""
    if waits is not None and not waits.failed and busy is None and asked and sum(hosts.values()) >= asked:
        message, remedy = waits.reason, waits.remedy  # a fallback at work: all that was asked for runs
    elif waits is not None:
        state = "failed" if waits.failed else "waiting"
        message, remedy = waits.reason, waits.remedy
    elif busy is not None:
        state, message = "reconciling", busy
    elif trouble:
        state, message, remedy = "failed", trouble, "it is tried again until it runs; see the host's log"
    return {
        "name": wanted.name,
        "key": wanted.key,
        "kind": wanted.kind,
        "wanted": asked,
        "running": sum(hosts.values()),
        "hosts": hosts,
        "status": state,
        "message": message,
        "remedy": remedy,
    }
