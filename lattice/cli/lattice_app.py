"""`lattice app` on a lattice: put, deploy, look, go back."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

if TYPE_CHECKING:
    from lattice.control.lattice_client import LatticeClient
    from lattice.transport.nats import NatsTransport

WAIT_S = 120.0

ManifestArgument = Annotated[Path, typer.Argument(help="A manifest.", show_default=False)]
NameArgument = Annotated[str, typer.Argument(help="The application's name.", show_default=False)]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return when it runs, or say why it does not.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait, with --wait.")]
Where = tuple[str | None, str | None, str | None]


def put(
    manifest: ManifestArgument,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Store a version of an application, with the files it names. Nothing starts yet.

    \b
    Example:
      lattice app put lattice.yaml
    """

    async def run(client: LatticeClient, transport: NatsTransport) -> dict[str, Any]:
        return await put_manifest(client, transport, lattice, context, manifest)

    stored = _run(run, (nats, lattice, context))
    if output is Format.JSON:
        print_json(stored)
        return
    print(f"{stored['name']} {stored['current_version']} is stored ({stored['total_versions']} versions)")


def deploy(
    what: Annotated[str, typer.Argument(help="A manifest, or NAME, or NAME@VERSION.", show_default=False)],
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_S,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a version of an application run. A manifest is put first; a name means its latest version.

    \b
    Example:
      lattice app deploy lattice.yaml --wait
    """
    from lattice.cli import deploying

    async def run(client: LatticeClient, transport: NatsTransport) -> dict[str, Any]:
        if Path(what).is_file():  # noqa: ASYNC240  # once, before anything runs
            stored = await put_manifest(client, transport, lattice, context, Path(what))
            name, version = stored["name"], stored["current_version"]
        elif what.endswith((".yaml", ".yml", ".json")):
            raise errors.ConfigError(f"there is no file {what}")
        else:
            name, _, version = what.partition("@")
        wait_s = timeout if wait else None
        return await deploying.deploy(client, name, version, wait_s=wait_s, report=progress)

    found = _run(run, (nats, lattice, context))
    _print_status(found, output)


def undeploy(
    name: NameArgument,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Stop an application; its versions stay.

    \b
    Example:
      lattice app undeploy shop
    """
    _simple("undeploy", name, b"{}", (nats, lattice, context), output)


def delete(
    name: Annotated[str, typer.Argument(help="NAME, or NAME@VERSION for one version.", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Delete an application, or one version of it. What runs of it stops.

    \b
    Example:
      lattice app delete shop@v1
    """
    application, _, version = name.partition("@")
    body = json.dumps({"version": version} if version else {}).encode()
    _simple("del", application, body, (nats, lattice, context), output)


def rollback(
    name: NameArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_S,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Deploy the version that was deployed before.

    \b
    Example:
      lattice app rollback shop --wait
    """
    from lattice.cli import deploying

    async def run(client: LatticeClient, _transport: NatsTransport) -> dict[str, Any]:
        done = await client.app("rollback", name, b"{}")
        progress(done["message"])
        if wait:
            return await deploying.wait(client, name, done["version"], timeout, progress)
        return await deploying.status(client, name)

    _print_status(_run(run, (nats, lattice, context)), output)


def list_(
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the applications of a lattice.

    \b
    Example:
      lattice app list
    """

    async def run(client: LatticeClient, _transport: NatsTransport) -> Any:
        return (await client.app("get"))["models"]

    models = _run(run, (nats, lattice, context))
    if output is Format.JSON:
        print_json(models)
        return
    rows = [
        [item["name"], item["version"], item["deployed_version"] or "", item["status"], item["status_message"]]
        for item in models
    ]
    print_table(("name", "latest", "deployed", "status", "message"), rows)


def get(
    name: Annotated[str, typer.Argument(help="NAME, or NAME@VERSION.", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Print a stored manifest.

    \b
    Example:
      lattice app get shop@v1
    """
    application, _, version = name.partition("@")
    body = json.dumps({"version": version} if version else {}).encode()

    async def run(client: LatticeClient, _transport: NatsTransport) -> Any:
        return await client.app("get", application, body)

    found = _run(run, (nats, lattice, context))
    if output is Format.JSON:
        print_json({"name": found["name"], "version": found["version"], "manifest": found["text"]})
        return
    print(found["text"], end="" if found["text"].endswith("\n") else "\n")


def status(
    name: NameArgument,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say how an application is doing, and what it waits for.

    \b
    Example:
      lattice app status shop
    """
    from lattice.cli import deploying

    async def run(client: LatticeClient, _transport: NatsTransport) -> Any:
        return await deploying.status(client, name)

    _print_status(_run(run, (nats, lattice, context)), output)


def history(
    name: NameArgument,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List what was done to an application, and its versions.

    \b
    Example:
      lattice app history shop
    """

    async def run(client: LatticeClient, _transport: NatsTransport) -> Any:
        steps = (await client.app("history", name, b"{}"))["history"]
        versions = (await client.app("versions", name, b"{}"))["versions"]
        return {"name": name, "history": steps, "versions": versions}

    found = _run(run, (nats, lattice, context))
    if output is Format.JSON:
        print_json(found)
        return
    print_table(("when", "what", "version"), [[s["at"], s["action"], s["version"]] for s in found["history"]])


async def put_manifest(
    client: LatticeClient, transport: NatsTransport, lattice: str | None, context: str | None, manifest: Path
) -> dict[str, Any]:
    """Checks a manifest, uploads what it names, and puts it. Raises `errors.ManifestError` for its mistakes."""
    from lattice.cli import deploying
    from lattice.control.manifest import load
    from lattice.control.settings_check import check_application
    from lattice.supervisor import Installed

    installed = Installed()
    application = load(manifest, installed)
    check_application(application, installed.type)
    images = image_store(transport, lattice, context)
    return await deploying.put(client, images, application, deploying.read(manifest, application), progress)


def image_store(transport: NatsTransport, lattice: str | None, context: str | None) -> Any:
    from lattice import subjects
    from lattice.artifacts.images import Images
    from lattice.cli.target import lattice_name
    from lattice.config import default_cache

    name = subjects.image_objects(lattice_name(lattice, context))
    return Images(default_cache() / "images", lambda: transport.objects(name))


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _simple(verb: str, name: str, body: bytes, where: Where, output: Format) -> None:
    async def run(client: LatticeClient, _transport: NatsTransport) -> Any:
        return await client.app(verb, name, body)

    done = _run(run, where)
    if output is Format.JSON:
        print_json(done)
    else:
        print(done["message"])


def _run(work: Callable[[LatticeClient, NatsTransport], Awaitable[Any]], where: Where) -> Any:
    import asyncio

    from lattice.cli.target import connected

    async def run() -> Any:
        async with connected(*where) as (client, transport):
            return await work(client, transport)

    return asyncio.run(run())


def _print_status(found: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(found)
        return
    print(f"{found['name']} {found['version']}: {found['status']} ({found['message']})")
    if found.get("remedy"):
        print(f"  {found['remedy']}")
    rows = [
        [item["name"], item["kind"], f"{item['running']}/{item['wanted']}", item["status"], item["message"]]
        for item in found["components"]
    ]
    if rows:
        print_table(("component", "kind", "running", "status", "message"), rows)
