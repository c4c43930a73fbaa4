"""The file that says what a host trusts: read whole and strictly, or refused with the place of the mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import endpoints, errors
from lattice.security import keys, settings

ACCOUNT = keys.KeyPair("account", b"a" * 32).public
CLUSTER = keys.KeyPair("cluster", b"c" * 32)
OTHER_CLUSTER = keys.KeyPair("cluster", b"d" * 32)
USER = keys.KeyPair("user", b"u" * 32).public


def written(folder: Path, text: str) -> Path:
    (folder / "cluster.nk").write_text(CLUSTER.seed + "\n")
    path = folder / "security.toml"
    path.write_text(text)
    return path


def test_a_file_with_everything(tmp_path: Path) -> None:
    text = f"""
        actors = {{ issuers = ["{ACCOUNT}"], unsigned = true, sockets = ["tcp://db:5432"] }}
        cluster = {{ keys = ["cluster.nk"], trusted = ["{OTHER_CLUSTER.public}"] }}
        control = {{ signers = ["{USER}"] }}
    """
    found = settings.load(written(tmp_path, text))
    sockets = (endpoints.parse("tcp://db:5432"),)
    assert found.actors == settings.ActorTrust(issuers=frozenset({ACCOUNT}), unsigned=True, sockets=sockets)
    assert found.cluster.signing is not None
    assert found.cluster.signing.public == CLUSTER.public
    assert found.cluster.trusted == {CLUSTER.public, OTHER_CLUSTER.public}
    assert found.control.signers == {USER}
    assert found.file == tmp_path / "security.toml"
    assert CLUSTER.seed not in repr(found)


def test_an_empty_file_trusts_nobody(tmp_path: Path) -> None:
    found = settings.load(written(tmp_path, ""))
    assert found.actors == settings.ActorTrust(issuers=frozenset(), unsigned=False)
    assert (found.cluster.signing, found.cluster.trusted, found.control.signers) == (None, frozenset(), None)


@pytest.mark.parametrize("issuers", ['"any"', '["any"]'])
def test_any_issuer_has_to_be_said(tmp_path: Path, issuers: str) -> None:
    assert settings.load(written(tmp_path, f"actors.issuers = {issuers}")).actors.issuers is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "security.toml"),
        ("[actors]\nissuer = []", "issuer"),
        ("[actor]\nissuers = []", "actor"),
        ('actors.issuers = "all"', "issuers"),
        (f'actors.issuers = ["any", "{ACCOUNT}"]', "not both"),
        (f'actors.issuers = ["{USER}"]', "is an user's key"),
        ('actors.issuers = ["AAAA"]', "56 letters"),
        ("actors.unsigned = 1", "unsigned"),
        ('actors.sockets = ["db:5432"]', "no place on a network"),
        ('cluster.keys = ["none.nk"]', "none.nk"),
        (f'cluster.trusted = ["{ACCOUNT}"]', "one of cluster is wanted"),
        (f'cluster.trusted = ["{CLUSTER.public}"]', "looks at no signature"),
        (f'control.signers = ["{CLUSTER.public}"]', "one of user or account or operator"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says):
        settings.load(written(tmp_path, text))


def test_a_seed_of_another_role_is_no_cluster_key(tmp_path: Path) -> None:
    path = written(tmp_path, 'cluster.keys = ["cluster.nk"]')
    (tmp_path / "cluster.nk").write_text(keys.KeyPair("account", b"a" * 32).seed)
    with pytest.raises(errors.ConfigError, match="not of an cluster") as raised:
        settings.load(path)
    assert "SA" not in str(raised.value)


def test_a_file_that_is_not_there_or_has_no_end(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="cannot be read"):
        settings.load(tmp_path / "none.toml")
    path = written(tmp_path, "#" * (settings.SETTINGS_BYTES_MAX + 1))
    with pytest.raises(errors.ConfigError, match="larger than 256 KiB"):
        settings.load(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("settings") / "security.toml"
    path.write_bytes(data)
    try:
        found = settings.load(path)
    except errors.ConfigError:
        return
    assert found.actors == settings.ActorTrust(issuers=frozenset()), "noise trusts nobody"
