"""Curve keys seal for one recipient, from one sender, in the form of NATS' nkeys. The vector is by its Go library."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import keys, sealing

A_SEED, A = (
    "SXAM7DOLHKN4HXAXYBX7IEJW7D7YJXO373WCD5IH3UWHH43PNZMEY2CLFY",
    "XBSNBNPAG3KORU3BXKNO3D5TGGBRJ6CTGHCASQ2AGYFJYJZTTSJVX4QR",
)
B_SEED, B = (
    "SXAEHX5Y6EK3TVJQHFGB55MZKAUOTADXAUWFJ7F3KNQFA3C35JUO7Q4IIY",
    "XB72THLETRUPYF3D6EKUOE3MSF3NGKKRYVMTTOJWNW4LX4L4EHXTSQH4",
)
SEALED = base64.b64decode(
    "eGt2McglUe5aThQjvw5HxIGI9uwBhjrTpzzLtMkGDRrFjh50A4WGkXiccNsoeM6+fmtqSCaGfZEZR5DFh4RImn+5TlQb"
)
"""By nkeys v0.4 for Go: A's seal for B."""


def test_what_the_go_library_sealed_is_opened() -> None:
    a, b = sealing.from_seed(A_SEED), sealing.from_seed(B_SEED)
    assert (a.public, a.seed, b.public) == (A, A_SEED, B)
    assert b.open(SEALED, A) == b"the password is swordfish"
    assert a.open(SEALED, B) == b"the password is swordfish", "both ends share one secret"


@given(st.binary(max_size=300))
def test_what_is_sealed_is_opened_by_its_recipient_only(data: bytes) -> None:
    sender, recipient, other = sealing.from_seed(A_SEED), sealing.from_seed(B_SEED), sealing.generate()
    sealed = sender.seal(data, B)
    assert sealed.startswith(b"xkv1")
    assert len(sealed) == len(data) + sealing.SEALED_BYTES_MORE
    assert recipient.open(sealed, A) == data
    with pytest.raises(errors.TokenInvalid):
        other.open(sealed, A)
    with pytest.raises(errors.TokenInvalid):
        recipient.open(sealed, other.public)


def test_a_seal_is_never_the_same_twice() -> None:
    pair = sealing.generate()
    assert pair.seal(b"x", pair.public) != pair.seal(b"x", pair.public)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    changed = SEALED[:place] + bytes((SEALED[place] ^ change,)) + SEALED[place + 1 :]
    with pytest.raises(errors.TokenInvalid):
        sealing.from_seed(B_SEED).open(changed, A)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda data: b"xkv1" + data)))
def test_bytes_of_strangers_are_refused_and_break_nothing(data: bytes) -> None:
    with pytest.raises(errors.TokenInvalid):
        sealing.from_seed(B_SEED).open(data, A)


def test_a_key_that_gives_the_same_secret_with_every_other_is_refused() -> None:
    low_order = keys.encode_public("curve", bytes(32))
    for attempt in (
        lambda: sealing.generate().seal(b"x", low_order),
        lambda: sealing.generate().open(SEALED, low_order),
    ):
        with pytest.raises(errors.ConfigError, match="no usable curve key"):
            attempt()


def test_keys_of_other_roles_neither_seal_nor_are_sealed_for() -> None:
    account = keys.generate("account")
    with pytest.raises(errors.ConfigError, match="curve"):
        sealing.generate().seal(b"x", account.public)
    with pytest.raises(errors.ConfigError, match="account") as caught:
        sealing.from_seed(account.seed)
    assert account.seed not in str(caught.value)


def test_a_pair_does_not_show_its_seed() -> None:
    pair = sealing.from_seed(A_SEED)
    assert repr(pair) == f"CurvePair({A})"


def test_a_file_has_a_seed_in_each_line(tmp_path: Path) -> None:
    path = tmp_path / "secrets.xk"
    path.write_text(f"# the new one\n{A_SEED}\n\n  {B_SEED}  \n")
    assert [pair.public for pair in sealing.read_seeds(path)] == [A, B]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "1 to 16 seeds"),
        (b"# nothing\n", "1 to 16 seeds"),
        (b"x\n" * 17, "1 to 16 seeds"),
        (b"#" * 5000, "1 to 16 seeds"),
        (A_SEED.encode() + b"\nSXwrong\n", "line 2: a seed has 58"),
        (b"\xff\xfe", "not text"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_never_what_it_holds(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "secrets.xk"
    path.write_bytes(content)
    with pytest.raises(errors.ConfigError, match=said) as caught:
        sealing.read_seeds(path)
    assert A_SEED not in str(caught.value)
    assert "SXwrong" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="No such file"):
        sealing.read_seeds(tmp_path / "none.xk")
