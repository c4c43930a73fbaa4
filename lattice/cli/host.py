"""`lattice host`: a bare host that joins a lattice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lattice import errors
from lattice.cli.logs import LogFormat, LogLevel, configure
from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.registry import InsecureRegistryOption, RegistryCaOption, RegistryPrivateHostOption, registries
from lattice.cli.security import ClusterKeyOption, SecurityOption, Trusting, TrustOption, UnsignedOption, given
from lattice.cli.target import ContextOption, CredsOption, DataOption, LatticeOption, data_folder

if TYPE_CHECKING:
    from lattice.artifacts.settings import RegistrySettings
    from lattice.host import Host, HostSettings
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings

HostNatsOption = Annotated[
    str | None,
    typer.Option(
        "--nats",
        envvar="LATTICE_NATS_URL",
        help="NATS servers, separated by commas, the near one first; or embedded, for the bundled one.",
    ),
]
NatsPortOption = Annotated[
    int, typer.Option("--nats-port", min=0, max=65535, help="Port of the embedded server.", show_default="any")
]
LabelsOption = Annotated[
    list[str] | None, typer.Option("--label", help="KEY=VALUE, for placement; may be given several times.")
]
NameOption = Annotated[str, typer.Option("--name", help="What people call this host.", show_default="of its key")]


def host(
    nats: HostNatsOption = None,
    lattice: LatticeOption = None,
    name: NameOption = "",
    label: LabelsOption = None,
    data: DataOption = None,
    nats_port: NatsPortOption = 0,
    context: ContextOption = None,
    creds: CredsOption = None,
    insecure_registry: InsecureRegistryOption = None,
    registry_ca: RegistryCaOption = None,
    registry_private_host: RegistryPrivateHostOption = None,
    trust: TrustOption = None,
    allow_unsigned: UnsignedOption = False,
    cluster_key: ClusterKeyOption = None,
    security: SecurityOption = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is logged.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look, on standard error.")] = LogFormat.TEXT,
    output: FormatOption = Format.TEXT,
) -> None:
    """Run a host that joins a lattice and runs what the lattice gives it, until Ctrl-C or SIGTERM.

    It waits for a NATS server that is not there yet. The first signal drains: others take over what runs here, and what
    was begun may finish. A second one ends at once. SIGHUP reads the file of --security again.

    \b
    Example:
      lattice host --nats nats://east:4222,nats://west:4222 --label cloud=east --trust AC...
    """
    import asyncio

    from lattice.cli.serve import loop_factory, require_drained, serve_lattice, stop_on_signals

    configure(log_level, log_format)
    trusting = given(security, trust, allow_unsigned, cluster_key)
    reachable = registries(insecure_registry, registry_ca, registry_private_host)
    settings = host_settings(data_folder(data, None), name, label, trusting, reachable, own_machine=False)
    settings, reached = joined(settings, nats, lattice, context, creds)
    read_again = trusting.read_again(own_machine=False)

    async def ready(host: Host, transport: NatsTransport, url: str) -> None:
        if output is Format.JSON:
            own = host.identity
            document = {"host_id": host.key, "name": own.name, "lattice": own.lattice, "labels": own.labels}
            print_json({**document, "nats": url})
        else:
            print(f"ready {host.key} ({host.identity.name}) in {host.identity.lattice} at {url}")
        sys.stdout.flush()

    async def run() -> bool:
        return await serve_lattice(settings, reached, nats_port, stop_on_signals(), ready, read_again)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        drained = runner.run(run())
    require_drained(drained)


def host_settings(
    data: Path,
    name: str,
    labels: list[str] | None,
    trusting: Trusting,
    reachable: RegistrySettings,
    *,
    own_machine: bool,
) -> HostSettings:
    """What a host is made with. Raises `errors.ConfigError`."""
    from lattice.config import default_cache
    from lattice.host import HostSettings

    return HostSettings(
        data=data,
        cache=default_cache(),
        name=name,
        labels=parse_labels(labels),
        security=trusting.settings(own_machine=own_machine),
        registries=reachable,
    )


def joined(
    settings: HostSettings, nats: str | None, lattice: str | None, context: str | None, creds: Path | None
) -> tuple[HostSettings, NatsSettings | None]:
    """What a host is made with that joins a lattice; no NATS settings mean the embedded server. Raises
    `errors.ConfigError`."""
    from lattice.cli.serve import EMBEDDED
    from lattice.cli.target import lattice_name, nats_settings

    settings = msgspec.structs.replace(settings, lattice=lattice_name(lattice, context))
    if nats == EMBEDDED:
        return settings, None
    reached = nats_settings(nats, context, creds)
    if reached is None:
        raise errors.ConfigError(
            "nothing says which NATS server to join",
            remedy="give --nats nats://HOST:4222, or --nats embedded to run one here",
        )
    return settings, reached


def parse_labels(given: list[str] | None) -> dict[str, str]:
    """Raises `errors.ConfigError` for what is not KEY=VALUE."""
    found = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise errors.ConfigError(f"a label is KEY=VALUE, not {text!r}", remedy="such as --label cloud=east")
        found[key] = value
    return found
