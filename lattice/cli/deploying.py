"""Putting an application on a lattice and waiting for it: for `lattice app` and for `lattice up --nats`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lattice import errors

if TYPE_CHECKING:
    from lattice.artifacts.images import Images
    from lattice.control.lattice_client import LatticeClient
    from lattice.control.manifest import Application

LOOK_EVERY_S = 0.25
Report = Callable[[str], None]


async def put(
    client: LatticeClient, images: Images, application: Application, text: str, report: Report
) -> dict[str, Any]:
    """Uploads the files that a manifest names, and puts it. Returns { name, current_version, ... }."""
    references: dict[str, str] = {}
    for component in application.components:
        if component.image.path is not None and component.image.text not in references:
            report(f"storing {component.image.path.name}")
            references[component.image.text] = await images.put(component.image.path)
    return await client.app("put", body=with_images(text, references).encode(), timeout_s=30)


def with_images(text: str, references: dict[str, str]) -> str:
    """A manifest's text with other image references; nothing else of it changes."""
    if not references:
        return text
    longest_first = sorted(references, key=len, reverse=True)
    pattern = re.compile("(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w./-])")
    return pattern.sub(lambda found: references[found[0]], text)


async def deploy(
    client: LatticeClient, name: str, version: str, *, wait_s: float | None, report: Report
) -> dict[str, Any]:
    """Deploys a version ("" is the latest), and with `wait_s` waits until it runs.

    Raises `errors.DeadlineExceeded` with what it was still waiting for, and what failed for good.
    """
    body = json.dumps({"version": version} if version else {}).encode()
    deployed = await client.app("deploy", name, body)
    report(f"{name} {deployed['version']} is to run")
    if wait_s is None:
        return await status(client, name)
    return await wait(client, name, deployed["version"], wait_s, report)


async def wait(client: LatticeClient, name: str, version: str, wait_s: float, report: Report) -> dict[str, Any]:
    """Returns the status when everything of the version runs; reports on the way what is new: a thing that
    is tried again and again fails in the same words."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            report(text)

    found: dict[str, Any] = {"message": "nothing is known yet", "remedy": ""}
    while loop.time() < deadline:
        try:
            found = await status(client, name)
        except (errors.Unreachable, errors.AnswerLost, errors.StoreUnavailable) as error:
            say(f"waiting: {error}")
        else:
            current = found["version"] == version  # the host that was asked may not have read it yet
            if current and found["status"] == "deployed":
                return found
            if current:
                say(f"{found['status']}: {found['message']}")
        await asyncio.sleep(LOOK_EVERY_S)
    raise errors.DeadlineExceeded(
        f"{name} does not run after {wait_s:g} s: {found['message']}", remedy=found.get("remedy", "")
    )


async def status(client: LatticeClient, name: str) -> dict[str, Any]:
    reply = await client.app("status", name)
    found = reply["application"]
    return {key: found.get(key) for key in ("name", "version", "status", "message", "remedy", "components")}


def read(manifest: Path, application: Application) -> str:
    """The text that the lattice keeps: the manifest's own, or one made of a `modules.toml`.

    Raises `errors.ConfigError`.
    """
    if manifest.suffix == ".toml":
        from lattice.control.manifest.writer import to_text

        return to_text(application)
    try:
        return manifest.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"{manifest} cannot be read: {error}") from error
