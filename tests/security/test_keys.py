"""nkeys: the text of a key, strictly read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey

from lattice import errors
from lattice.security import keys

SEED = "SAAPN4W3EG6KCJGUQTKTJ5GSB5NHK5CHAJL4DBGFUM3HHROI4XUEP4OBK4"
PUBLIC = "ACODERUVFFAWZQDSS6SBIACUA5O6SXF7HJ3YTYXBALHZP3P7R4BUO4J2"


def test_a_published_pair() -> None:
    pair = keys.from_seed(SEED)
    assert (pair.role, pair.public, pair.seed) == ("account", PUBLIC, SEED)
    assert SEED not in repr(pair)


@pytest.mark.parametrize(
    ("role", "letters"),
    [
        ("account", "A"),
        ("cluster", "C"),
        ("actor", "M"),
        ("host", "N"),
        ("operator", "O"),
        ("user", "U"),
        ("provider", "V"),
    ],
)
def test_a_key_begins_with_the_letter_of_its_role(role: keys.Role, letters: str) -> None:
    pair = keys.generate(role)
    assert pair.public[0] == letters
    assert pair.seed[:2] == f"S{letters}"
    assert keys.from_seed(pair.seed).public == pair.public
    assert keys.decode_public(pair.public, role)[0] == role
    other: keys.Role = "user" if role != "user" else "host"
    with pytest.raises(errors.ConfigError):
        keys.decode_public(pair.public, other)


def test_a_signature_is_of_one_text_and_one_key() -> None:
    pair, other = keys.generate("host"), keys.generate("host")
    signature = pair.sign(b"text")
    assert keys.verify(pair.public, b"text", signature)
    assert not keys.verify(pair.public, b"tex", signature)
    assert not keys.verify(other.public, b"text", signature)


@given(place=st.integers(0, 55), letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_changed_letter_is_noticed(place: int, letter: str) -> None:
    changed = PUBLIC[:place] + letter + PUBLIC[place + 1 :]
    if changed != PUBLIC:
        with pytest.raises(errors.ConfigError):
            keys.decode_public(changed)


@given(st.text(max_size=70))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (keys.decode_public, keys.from_seed):
        with pytest.raises(errors.ConfigError) as raised:
            read(text)
        assert text not in str(raised.value) or len(text) < 10


def test_a_key_that_others_can_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys.write_seed(tmp_path / "key", keys.generate("user"))
    keys.read_pair(tmp_path / "key")
    assert not caplog.records
    (tmp_path / "key").chmod(0o640)
    keys.read_pair(tmp_path / "key")
    assert "chmod 600" in caplog.text


def test_a_file_holds_a_key_of_any_role_that_signs(tmp_path: Path) -> None:
    for role in ("user", "cluster"):
        pair = keys.generate(role)
        keys.write_seed(tmp_path / role, pair)
        assert keys.read_pair(tmp_path / role).public == pair.public
    (tmp_path / "curve").write_text(keys.encode_seed("curve", b"x" * 32))
    with pytest.raises(errors.ConfigError, match="does not sign"):
        keys.read_pair(tmp_path / "curve")


def test_a_host_keeps_its_key(tmp_path: Path) -> None:
    first = keys.host_key(tmp_path / "data")
    assert keys.host_key(tmp_path / "data").public == first.public
    file = tmp_path / "data" / keys.HOST_KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("broken")
    with pytest.raises(errors.ConfigError, match=r"checksum|has 58"):
        keys.host_key(tmp_path / "data")


def test_a_curve_key_has_a_public_part_and_does_not_sign(tmp_path: Path) -> None:
    seed = keys.encode_seed("curve", bytes.fromhex("77076d0a7318a57d3c16c17251b26645a4e5f3d5d3ab2d8f4a6f0e5b3ed0a1e5"))
    role, public = keys.public_of(seed)
    assert (role, public[0], seed[:2]) == ("curve", "X", "SX")
    assert keys.decode_public(public, "curve")[1] == bytes(PrivateKey(keys.decode_seed(seed)[1]).public_key), (
        "X25519, not Ed25519"
    )
    with pytest.raises(errors.ConfigError, match="does not sign"):
        keys.from_seed(seed)


@pytest.mark.parametrize("role", keys.PUBLIC_ROLES)
def test_a_seed_of_every_role_is_made_and_kept_once(role: keys.Role, tmp_path: Path) -> None:
    seed = keys.generate_seed(role)
    assert keys.public_of(seed)[0] == role
    path = tmp_path / "keys" / "one.nk"
    keys.write_new_seed(path, seed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert keys.read_seed_text(path) == seed
    with pytest.raises(errors.ConfigError, match="not overwritten"):
        keys.write_new_seed(path, keys.generate_seed(role))
    assert keys.read_seed_text(path) == seed


def test_a_link_in_the_place_of_a_new_key_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "key.nk").symlink_to(target)
    with pytest.raises(errors.ConfigError, match="not overwritten"):
        keys.write_new_seed(tmp_path / "key.nk", SEED)
    assert not target.exists()


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys.os, "fsync", fail)
    for write in (
        lambda path: keys.write_new_seed(path, SEED),
        lambda path: keys.write_seed(path, keys.from_seed(SEED)),
    ):
        with pytest.raises(errors.ConfigError, match="No space left"):
            write(tmp_path / "key.nk")
        assert list(tmp_path.iterdir()) == []


def test_a_key_file_has_a_seed_of_the_wanted_role(tmp_path: Path) -> None:
    path = tmp_path / "key.nk"
    path.write_text(f"  {SEED}\n")
    assert keys.read_seed(path, "account").public == PUBLIC
    with pytest.raises(errors.ConfigError, match="the key of an account, not of an host"):
        keys.read_seed(path, "host")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(errors.ConfigError, match="cannot be read"):
        keys.read_seed_text(path)
    path.write_text("SA" + "B" * 56)
    with pytest.raises(errors.ConfigError, match="checksum") as raised:
        keys.read_seed_text(path)
    assert "BBB" not in str(raised.value)


def test_a_public_key_is_no_seed_whatever_its_length() -> None:
    wrong = keys._text(bytes((18 << 3 | 7, 0)) + bytes(32))  # a seed of a role that there is not
    with pytest.raises(errors.ConfigError, match="not the seed of a key"):
        keys.decode_seed(wrong)
    with pytest.raises(errors.ConfigError, match="not the public key of a known role"):
        keys.decode_public(keys._text(bytes((9 << 3,)) + bytes(32)))


@pytest.mark.parametrize(
    ("text", "roles", "so"),
    [
        (PUBLIC, ("account",), True),
        (PUBLIC, ("actor", "account"), True),
        (PUBLIC, ("actor",), False),
        (PUBLIC[:-1] + ("A" if PUBLIC[-1] != "A" else "B"), ("account",), True),
        (PUBLIC.lower(), ("account",), False),
        (PUBLIC[:-1], ("account",), False),
        (PUBLIC, (), False),
    ],
)
def test_what_looks_like_a_key_is_told_whether_it_is_genuine_or_not(
    text: str, roles: tuple[keys.Role, ...], so: bool
) -> None:
    assert keys.resembles(text, *roles) is so


def test_a_seed_signs_as_its_file_says(tmp_path: Path) -> None:
    keys.write_seed(tmp_path / "key.nk", keys.from_seed(SEED))
    assert keys.read_seed(tmp_path / "key.nk", "account").seed == SEED
