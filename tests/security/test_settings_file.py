"""The security file: what it may say, and that a mistake in it is never taken for trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import keys, settings

ACCOUNT = keys.KeyPair("account", b"a" * 32)
USER = keys.KeyPair("user", b"u" * 32)
FIRST, SECOND = keys.KeyPair("cluster", b"1" * 32), keys.KeyPair("cluster", b"2" * 32)


def load(folder: Path, text: str) -> settings.SecuritySettings:
    path = folder / "security.toml"
    path.write_text(text)
    return settings.load(path)


def test_an_empty_file_trusts_nobody(tmp_path: Path) -> None:
    found = load(tmp_path, "")
    assert found.actors == settings.ActorTrust(issuers=frozenset())
    assert found.cluster.signing is None
    assert found.control.signers is None
    assert found.file == tmp_path / "security.toml"


def test_a_file_names_accounts_cluster_keys_and_signers(tmp_path: Path) -> None:
    keys.write_seed(tmp_path / "one.nk", FIRST)
    keys.write_seed(tmp_path / "two.nk", SECOND)
    third = keys.KeyPair("cluster", b"3" * 32).public
    found = load(
        tmp_path,
        f"""
        [actors]
        issuers = ["{ACCOUNT.public}"]
        unsigned = true
        [cluster]
        keys = ["one.nk", "two.nk"]
        trusted = ["{third}"]
        [control]
        signers = ["{USER.public}", "{ACCOUNT.public}"]
        """,
    )
    assert found.actors == settings.ActorTrust(issuers=frozenset({ACCOUNT.public}), unsigned=True)
    assert found.cluster.signing is not None
    assert found.cluster.signing.public == FIRST.public
    assert found.cluster.trusted == {FIRST.public, SECOND.public, third}
    assert found.control.signers == {USER.public, ACCOUNT.public}


@pytest.mark.parametrize("text", ['issuers = "any"', 'issuers = ["any"]'])
def test_any_issuer_has_to_be_said(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, f"[actors]\n{text}").actors.issuers is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'[actors]\nissuers = ["any", "{ACCOUNT.public}"]', "not both"),
        (f'[actors]\nissuers = ["{USER.public}"]', "one of account is wanted"),
        (f'[actors]\nissuers = ["{ACCOUNT.public[:-1]}"]', "56 letters"),
        ('[actors]\nissuers = "all"', "actors.issuers"),
        ("[actors]\nunsignd = true", "unsignd"),
        ("[actors]\nunsigned = 1", "unsigned"),
        ("[nonsense]", "nonsense"),
        ('[cluster]\nkeys = ["gone.nk"]', "cannot be read"),
        (f'[cluster]\ntrusted = ["{ACCOUNT.public}"]', "one of cluster is wanted"),
        ('[control]\nsigners = ["X"]', "56 letters"),
        ("not toml", "security.toml"),
        ("#" * (settings.SETTINGS_BYTES_MAX + 1), "larger than"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says) as raised:
        load(tmp_path, text)
    assert "security.toml" in str(raised.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="cannot be read"):
        settings.load(tmp_path / "gone.toml")


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("settings") / "security.toml"
    path.write_bytes(data)
    try:
        found = settings.load(path)
    except errors.ConfigError:
        return
    assert found.actors == settings.ActorTrust(issuers=frozenset()), "noise trusts nobody"
