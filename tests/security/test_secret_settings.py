"""The table [secrets] of the security file: what manifests may refer to on a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice import errors
from lattice.security import keys, sealing
from lattice.security.settings import LOCAL, SecretTrust, load


def write(folder: Path, text: str) -> Path:
    path = folder / "security.toml"
    path.write_text(f"[secrets]\n{text}\n")
    return path


def test_a_file_says_what_is_offered(tmp_path: Path) -> None:
    first, second, other = sealing.generate(), sealing.generate(), sealing.generate()
    (tmp_path / "secrets.xk").write_text(f"{first.seed}\n{second.seed}\n")
    offered = 'environment = ["DB_*", "TOKEN"]\nfiles = ["mine", "/run/secrets"]'
    text = f'{offered}\nkeys = ["secrets.xk"]\nsenders = ["{other.public}"]'
    found = load(write(tmp_path, text)).secrets
    assert found.files == (tmp_path / "mine", Path("/run/secrets"))
    assert [pair.public for pair in found.keys] == [first.public, second.public]
    assert found.senders == {other.public}
    assert all(map(found.offers_variable, ("DB_URL", "DB_", "TOKEN", "LATTICE_SECRET_X")))
    assert not any(map(found.offers_variable, ("DB", "TOKEN2", "AWS_SECRET_ACCESS_KEY", "PATH", "")))


def test_a_host_that_was_told_nothing_offers_only_what_is_set_for_it() -> None:
    assert LOCAL.secrets == SecretTrust()
    assert LOCAL.secrets.offers_variable("LATTICE_SECRET_DB")
    assert not LOCAL.secrets.offers_variable("AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize("name", ["*", "**", "", "A*B", "*_KEY"])
def test_patterns_that_could_be_everything_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="environment"):
        load(write(tmp_path, f'environment = ["{name}"]'))


def test_senders_are_curve_keys(tmp_path: Path) -> None:
    account = keys.generate("account").public
    with pytest.raises(errors.ConfigError, match="account"):
        load(write(tmp_path, f'senders = ["{account}"]'))


def test_keys_are_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match=r"none\.xk"):
        load(write(tmp_path, 'keys = ["none.xk"]'))
