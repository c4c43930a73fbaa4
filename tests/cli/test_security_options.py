"""The options by which a host is told whom it trusts."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from lattice import errors
from lattice.cli.security import Trusting, given
from lattice.security import keys
from lattice.security.settings import LOCAL, ActorTrust, SecuritySettings

ACCOUNT, OTHER = (keys.KeyPair("account", letter * 32).public for letter in (b"a", b"b"))
CLUSTER = keys.KeyPair("cluster", b"c" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "security.toml"
    path.write_text(f'actors = {{ issuers = ["{ACCOUNT}"] }}')
    return path


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    keys.write_seed(tmp_path / "cluster.nk", CLUSTER)
    return tmp_path / "cluster.nk"


def test_ones_own_machine_trusts_any_signature() -> None:
    assert Trusting().settings(own_machine=True) == LOCAL


def test_a_host_elsewhere_has_to_be_told() -> None:
    with pytest.raises(errors.ConfigError, match="whose actors") as raised:
        Trusting().settings(own_machine=False)
    assert "--trust" in raised.value.remedy
    with pytest.raises(errors.ConfigError, match="whose actors"):
        Trusting(allow_unsigned=True).settings(own_machine=False)


def test_issuers_may_be_given_in_one_word_or_several() -> None:
    wanted = ActorTrust(issuers=frozenset({ACCOUNT, OTHER}))
    for trust in ([ACCOUNT, OTHER], [f"{ACCOUNT},{OTHER}"], [f"{ACCOUNT} {OTHER}"]):
        assert given(None, trust, False, None).settings(own_machine=False).actors == wanted


def test_what_is_said_on_ones_own_machine_counts() -> None:
    """Whoever names issuers does not mean unsigned modules too."""
    assert Trusting(trust=(ACCOUNT,)).settings(own_machine=True).actors == ActorTrust(issuers=frozenset({ACCOUNT}))


def test_options_stand_above_the_file(file: Path, seed: Path) -> None:
    whole = Trusting(file=file, trust=("any",), allow_unsigned=True, cluster_keys=(seed,)).settings(own_machine=False)
    assert whole.actors == ActorTrust(issuers=None, unsigned=True)
    assert whole.cluster.trusted == {CLUSTER.public}
    assert Trusting(file=file).settings(own_machine=True).actors == ActorTrust(issuers=frozenset({ACCOUNT}))


@pytest.mark.parametrize("options", range(4))
def test_a_child_is_told_the_same(options: int, file: Path, seed: Path) -> None:
    """`lattice up --workers` starts hosts, which have to be told."""
    trusting = (
        Trusting(),
        Trusting(file=file),
        Trusting(trust=(ACCOUNT, OTHER), cluster_keys=(seed,)),
        Trusting(file=file, trust=("any",), allow_unsigned=True),
    )[options]
    words = trusting.words()
    pairs = list(itertools.pairwise(words))
    files = [Path(value) for name, value in pairs if name == "--security"]
    child = Trusting(
        file=files[0] if files else None,
        trust=tuple(value for name, value in pairs if name == "--trust"),
        allow_unsigned="--allow-unsigned" in words,
        cluster_keys=tuple(Path(value) for name, value in pairs if name == "--cluster-key"),
    )
    parent, told = trusting.settings(own_machine=True), child.settings(own_machine=False)
    assert _plain(parent) == _plain(told)


def _plain(found: SecuritySettings) -> tuple[object, ...]:
    return found.actors, found.cluster.trusted, found.control, found.file
