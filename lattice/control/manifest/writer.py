"""An application as a manifest again: JSON in the same form, for programs that change one before they put it."""

from __future__ import annotations

import json
from typing import Any

from lattice.config import Limits, Surroundings
from lattice.control.manifest.records import Application, Component, LinkSpec, Scaling
from lattice.secretref import SecretRef


def to_text(application: Application) -> str:
    """A manifest that reads as the same application; images of files are named by their absolute paths."""
    annotations = dict(application.annotations)
    document = {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": application.name, "annotations": annotations, "labels": application.labels},
        "spec": {"components": [_component(component) for component in application.components]},
    }
    return json.dumps(document, indent=1)


def _component(component: Component) -> dict[str, Any]:
    image = f"file://{component.image.path}" if component.image.path else component.image.text
    properties: dict[str, Any] = {"image": image}
    if component.id:
        properties["id"] = component.id
    if component.alias:
        properties["alias"] = component.alias
    if component.kind == "provider" and component.contract and component.image.kind != "builtin":
        properties["contract"] = component.contract
    if component.config:
        properties["config"] = component.config
    if component.secrets:
        properties["secrets"] = _secrets(component.secrets)
    limits = _limits(component.limits)
    if limits:
        properties["limits"] = limits
    properties |= _surroundings(component.surroundings)
    return {
        "name": component.name,
        "type": "component" if component.kind == "actor" else "capability",
        "properties": properties,
        "traits": [_scaler(component.scaling), *(_link(link) for link in component.links)],
    }


def _limits(limits: Limits) -> dict[str, str]:
    default = Limits()
    written = {
        "memory": (limits.memory_bytes_max, default.memory_bytes_max),
        "time": (f"{limits.time_s_max:g}s", f"{default.time_s_max:g}s"),
        "instances": (limits.instances_max, default.instances_max),
        "queue": (limits.queue_max, default.queue_max),
        "depth": (limits.depth_max, default.depth_max),
        "payload": (limits.payload_bytes_max, default.payload_bytes_max),
        "isolation": (limits.isolation, default.isolation),
        "reuse": (limits.reuse_max, default.reuse_max),
    }
    return {name: str(value) for name, (value, usual) in written.items() if value != usual}


def _surroundings(surroundings: Surroundings) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if surroundings.environment:
        written["environment"] = surroundings.environment
    if surroundings.volumes:
        written["volumes"] = [
            {"host": volume.host, "guest": volume.guest, "writable": str(volume.writable).lower()}
            for volume in surroundings.volumes
        ]
    if surroundings.sockets:
        written["sockets"] = list(surroundings.sockets)
    if surroundings.entrypoint != Surroundings().entrypoint:
        written["entrypoint"] = surroundings.entrypoint
    return written


def _scaler(scaling: Scaling) -> dict[str, Any]:
    spread = [
        {"name": entry.name, "requirements": entry.requirements, "weight": entry.weight, "fallback": entry.fallback}
        for entry in scaling.spread
    ]
    kind = "daemonscaler" if scaling.on_every_host else "spreadscaler"
    return {"type": kind, "properties": {"instances": scaling.replicas, "spread": spread}}


def _link(link: LinkSpec) -> dict[str, Any]:
    namespace, _, package = link.contract.partition(":")
    properties: dict[str, Any] = {"target": link.target, "name": link.name}
    if link.target_secrets:
        properties["target"] = {"name": link.target, "secrets": _secrets(link.target_secrets)}
    if link.source_secrets:
        properties["source"] = {"secrets": _secrets(link.source_secrets)}
    if link.contract:
        properties |= {"namespace": namespace, "package": package}
    if link.source_config:
        properties["source_config"] = link.source_config
    if link.target_config:
        properties["target_config"] = link.target_config
    if link.granted_by:
        properties["granted_by"] = link.granted_by
    if link.operations:
        properties["operations"] = list(link.operations)
    return {"type": "link", "properties": properties}


def _secrets(references: tuple[SecretRef, ...]) -> list[dict[str, Any]]:
    """By the policies that need no declaration."""
    found = []
    for one in references:
        properties: dict[str, Any] = {"policy": one.source, "key": one.key}
        if one.field:
            properties["field"] = one.field
        if one.version:
            properties["version"] = str(one.version)
        found.append({"name": one.name, "properties": properties})
    return found
