"""What a host is told to trust: the options that `lattice host` and `lattice up` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lattice import errors

if TYPE_CHECKING:
    from lattice.security.settings import SecuritySettings

SecurityOption = Annotated[
    Path | None,
    typer.Option(
        "--security", envvar="LATTICE_SECURITY", help="A file that says what is trusted (docs/guides/trust.md)."
    ),
]
TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        envvar="LATTICE_TRUST",
        help="An account (A...) whose actors may run, or any. Several times for several.",
    ),
]
UnsignedOption = Annotated[
    bool,
    typer.Option("--allow-unsigned", envvar="LATTICE_ALLOW_UNSIGNED", help="Also run modules that nobody signed."),
]
ClusterKeyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--cluster-key",
        envvar="LATTICE_CLUSTER_KEY",
        help="The seed by which hosts of the lattice sign calls. Several while keys rotate: the first signs.",
    ),
]


class Trusting(msgspec.Struct, frozen=True, kw_only=True):
    """The options as they were given. They stand above the file."""

    file: Path | None = None
    trust: tuple[str, ...] = ()
    allow_unsigned: bool = False
    cluster_keys: tuple[Path, ...] = ()

    @property
    def says_whose_actors(self) -> bool:
        return bool(self.trust) or self.file is not None

    def settings(self, *, own_machine: bool) -> SecuritySettings:
        """`own_machine`: without a word about actors any valid signature is taken, and unsigned modules run with a
        warning. Elsewhere somebody has to say whose actors run. Raises `errors.ConfigError`."""
        from lattice.security import settings as security

        found = security.load(self.file) if self.file is not None else security.SecuritySettings()
        replace = msgspec.structs.replace
        if self.trust:
            issuers = security.issuers(list(self.trust))
            found = replace(found, actors=replace(found.actors, issuers=issuers))
        elif self.file is None:
            if not own_machine:
                raise errors.ConfigError(
                    "nothing says whose actors this host runs",
                    remedy="give --trust with the public key of an account (A...), --trust any, or --security FILE",
                )
            found = replace(found, actors=security.LOCAL.actors)
        if self.allow_unsigned:
            found = replace(found, actors=replace(found.actors, unsigned=True))
        if self.cluster_keys:
            found = replace(found, cluster=security.cluster(list(self.cluster_keys), []))
        return found

    def read_again(self, *, own_machine: bool) -> Callable[[], SecuritySettings] | None:
        """What reads the file once more, None without one."""
        return None if self.file is None else lambda: self.settings(own_machine=own_machine)

    def words(self) -> list[str]:
        """The options for a child that shall trust the same, as `settings(own_machine=True)` understands them."""
        words = [] if self.file is None else ["--security", str(self.file.absolute())]
        told = self.trust or (() if self.file is not None else ("any",))
        words += [word for one in told for word in ("--trust", one)]
        if self.allow_unsigned or (not self.trust and self.file is None):
            words.append("--allow-unsigned")
        return words + [word for path in self.cluster_keys for word in ("--cluster-key", str(path.absolute()))]


def given(
    file: Path | None, trust: list[str] | None, allow_unsigned: bool, cluster_keys: list[Path] | None
) -> Trusting:
    return Trusting(
        file=file,
        trust=tuple(part for one in trust or [] for part in one.replace(",", " ").split()),
        allow_unsigned=allow_unsigned,
        cluster_keys=tuple(cluster_keys or []),
    )
