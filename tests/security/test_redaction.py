"""What the redactor was told is in no text any more, in whatever form it was written down."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.cli.logs import JsonFormatter
from lattice.security.redaction import MARK, VALUES_MAX, RedactingFilter, Redactor

VALUE = 'sw0rd/fish+ü"\\ 7?'

FORMS: list[Callable[[str], str]] = [
    str,
    repr,
    json.dumps,
    lambda value: json.dumps(value, ensure_ascii=False),
    quote,
    lambda value: quote(value, safe=""),
    quote_plus,
    lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
    lambda value: quote(quote(value, safe=""), safe=""),
    lambda value: repr(value.encode()),
    lambda value: value.encode().hex(),
    lambda value: value.encode().hex().upper(),
    lambda value: base64.b64encode(value.encode()).decode(),
    lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
]


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.learn(value)
    return made


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_secret_is_taken_out(form: Callable[[str], str]) -> None:
    written = form(VALUE)
    cleaned = redactor(VALUE).clean(f"could not log in with {written}, trying again")
    assert MARK in cleaned
    assert written.strip("\"'b") not in cleaned
    assert cleaned.startswith("could not log in with ")
    assert cleaned.endswith(", trying again")


@given(st.text(max_size=20), st.text(min_size=9, max_size=40), st.text(max_size=20))
def test_a_secret_between_anything_is_not_there_any_more(before: str, value: str, after: str) -> None:
    made = redactor(value)
    assert value not in made.clean(before + value + after) or value in MARK


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_the_middle_of_a_secret_is_not_in_base64_of_something_larger(before: bytes, after: bytes) -> None:
    """As in the header of basic authentication: user, colon, password."""
    value = "correct-horse-battery"
    header = base64.b64encode(before + value.encode() + after).decode()
    cleaned = redactor(value).clean(header)
    assert MARK in cleaned
    assert len(cleaned) - len(MARK) <= len(header) - 4 * (len(value) // 3) + 4


def test_the_password_of_an_address_is_a_secret_too() -> None:
    made = redactor("redis://me:p%40ssword@example:6379/0")
    assert made.clean("AUTH me p@ssword failed, p%40ssword") == f"AUTH me {MARK} failed, {MARK}"
    assert made.clean("redis://[::1 is odd") == "redis://[::1 is odd"
    assert redactor("http://[odd").clean("http://[odd") == MARK


def test_long_lines_of_a_secret_are_secrets_too() -> None:
    made = redactor("first-line-of-a-key\nshort\nsecond-line-of-a-key\n")
    assert made.clean("bad line: second-line-of-a-key; short") == f"bad line: {MARK}; short"


def test_short_values_are_left_since_they_are_parts_of_words() -> None:
    assert redactor("ab", "").clean("about") == "about"


def test_of_two_secrets_that_begin_alike_the_longer_one_goes_whole() -> None:
    assert redactor("sword", "swordfish").clean("swordfish, sword") == f"{MARK}, {MARK}"


def test_nothing_happens_before_there_is_a_secret() -> None:
    made = Redactor()
    error = errors.ConfigError("text")
    made.scrub(error)
    assert (made.clean("text"), str(error)) == ("text", "text")
    assert repr(redactor("swordfish")) == "Redactor(1 values)"


def test_one_value_too_many_is_refused_and_not_forgotten() -> None:
    made = redactor(*(f"value-{number}" for number in range(VALUES_MAX)))
    made.learn("value-0")
    with pytest.raises(errors.SecretUnavailable, match="since it started"):
        made.learn("value-more")
    assert made.clean("value-7 and value-999") == f"{MARK} and {MARK}"


def test_an_error_loses_its_secret_and_the_cause_that_held_it() -> None:
    made = redactor("swordfish")
    error = errors.ManifestError("bad url swordfish", file="a.yaml", line=3, remedy="not swordfish")
    error.__cause__ = ValueError("swordfish")
    made.scrub(error)
    assert (str(error), error.remedy, error.__cause__) == (f"a.yaml:3: bad url {MARK}", f"not {MARK}", None)
    assert error.__suppress_context__


def test_an_error_without_a_secret_keeps_its_cause() -> None:
    error = errors.ConfigError("bad url")
    error.__cause__ = cause = ValueError("why")
    redactor("swordfish").scrub(error)
    assert error.__cause__ is cause
    strange = ValueError("swordfish")
    redactor("swordfish").scrub(strange)
    assert str(strange) == "swordfish", "the text of others is cleaned where it is made"


def lines_of(log: Callable[[logging.Logger], None], formatter: logging.Formatter) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RedactingFilter(redactor("swordfish")))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue()


def fail(logger: logging.Logger) -> None:
    try:
        try:
            raise ValueError("swordfish below")
        except ValueError as error:
            raise RuntimeError("swordfish above") from error
    except RuntimeError:
        logger.exception("failed with %s", "swordfish", stack_info=True)


@pytest.mark.parametrize("formatter", [logging.Formatter("%(message)s"), JsonFormatter()])
def test_log_lines_and_their_tracebacks_are_clean(formatter: logging.Formatter) -> None:
    said = lines_of(fail, formatter)
    assert "failed with [secret]" in said
    assert "RuntimeError: [secret] above" in said
    assert "ValueError: [secret] below" in said
    assert "Traceback" in said


def test_a_line_whose_arguments_do_not_fit_is_clean_too() -> None:
    said = lines_of(lambda logger: logger.error("%d of them", "swordfish"), logging.Formatter("%(message)s"))
    assert "of them" in said
    assert "swordfish" not in said


def test_a_line_with_something_that_cannot_be_written_fails_nobody() -> None:
    """A filter runs in whoever logs: what it raises would be his."""

    class Broken:
        def __str__(self) -> str:
            raise AttributeError("swordfish")

    said = lines_of(lambda logger: logger.error("one of %s", Broken()), logging.Formatter("%(message)s"))
    assert "one of" in said
    assert "swordfish" not in said


def test_a_line_without_an_exception_has_none() -> None:
    said = lines_of(lambda logger: logger.error("plain", exc_info=False), JsonFormatter())
    assert "error" not in json.loads(said)
    no_exception = lines_of(lambda logger: logger.error("plain", exc_info=True), logging.Formatter("%(message)s"))
    assert no_exception.startswith("plain")


def test_what_is_raised_within_holds_no_secret() -> None:
    made = redactor("swordfish")
    with pytest.raises(errors.ConfigError, match=r"bad url \[secret\]"), made.scrubbing():
        raise errors.ConfigError("bad url swordfish")
    with pytest.raises(ValueError, match="swordfish"), made.scrubbing():
        raise ValueError("swordfish")
    with made.scrubbing():
        pass


def test_an_error_of_others_is_replaced_by_one_without_the_secret() -> None:
    made = redactor("swordfish")
    fine, own = ValueError("fine"), errors.ConfigError("swordfish")
    assert made.cleaned(fine) is fine
    assert made.cleaned(own) is own
    assert str(own) == MARK
    replaced = made.cleaned(OSError(111, "no swordfish"))
    assert isinstance(replaced, errors.ProviderError)
    assert str(replaced) == f"ConnectionRefusedError: [Errno 111] no {MARK}"


@pytest.mark.parametrize("value", ["hunter22\n", "\thunter22 ", "hunter22\r\n"])
def test_a_secret_is_found_also_where_a_library_has_trimmed_it(value: str) -> None:
    """Orchestrators put the line end of a file into the variable, and libraries strip it."""
    assert redactor(value).clean(f"the password {value.strip()} is wrong") == f"the password {MARK} is wrong"
