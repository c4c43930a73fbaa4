"""nkeys: the text of a key, strictly read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_host_keeps_its_key(tmp_path: Path) -> None:
    first = keys.host_key(tmp_path / "data")
    assert keys.host_key(tmp_path / "data").public == first.public
    file = tmp_path / "data" / keys.HOST_KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("broken")
    with pytest.raises(errors.ConfigError, match=r"checksum|has 58"):
        keys.host_key(tmp_path / "data")
