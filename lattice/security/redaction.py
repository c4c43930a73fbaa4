"""Takes the secrets that this process has had out of texts before they leave it: error messages and log lines.

What a library puts into its errors is its own affair: addresses with passwords, the offending value, a header. So the
host remembers the values that it has resolved, in the forms in which they are written down, and every text of a
provider passes here. This is the second line: nothing writes a secret on purpose.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus, unquote, urlsplit

from lattice import errors

MARK = "[secret]"
"""Stands where a secret was."""
VALUE_CHARS_MIN = 4
"""A shorter value is a part of ordinary words, and would be told by the marks that it leaves."""
LINE_CHARS_MIN = 16
"""Of the lines of a secret with several, such as a private key, which libraries quote one by one."""
VALUES_MAX = 1_000
"""Secrets that one process has had. One more is refused, not forgotten: it could stand in a log unseen."""

_PERCENT = re.compile("%[0-9A-F]{2}")


class Redactor:
    """Belongs to a host, which tells it every secret before anybody gets it."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._forms: dict[str, list[str]] = {}
        """By their beginnings, the longest first: a text is gone through once, however many there are."""

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} values)"

    def learn(self, value: str) -> None:
        """`value` is in no text any more that `clean` returns. Raises `errors.SecretUnavailable` when there are too
        many to look for."""
        if value in self._values or len(value) < VALUE_CHARS_MIN:
            return
        if len(self._values) >= VALUES_MAX:
            raise errors.SecretUnavailable(
                f"this host has had {VALUES_MAX} secrets since it started, the most that it keeps out of its log",
                remedy="restart the host",
            )
        self._values.add(value)
        for part in _parts(value):
            for form in _forms(part):
                if len(form) < VALUE_CHARS_MIN:
                    continue
                known = self._forms.setdefault(form[:VALUE_CHARS_MIN], [])
                if form not in known:
                    known.append(form)
                    known.sort(key=len, reverse=True)

    def clean(self, text: str) -> str:
        if not self._forms:
            return text
        kept: list[str] = []
        begin = at = 0
        while at <= len(text) - VALUE_CHARS_MIN:
            for form in self._forms.get(text[at : at + VALUE_CHARS_MIN], ()):
                if text.startswith(form, at):
                    kept += text[begin:at], MARK
                    begin = at = at + len(form)
                    break
            else:
                at += 1
        return "".join((*kept, text[begin:]))

    def scrub(self, error: BaseException) -> None:
        """Cleans the message and remedy of an error of this project, where it is. One that held a secret loses its
        cause, which did too. Errors of others are left: their text has to pass `clean` when it is made."""
        if not isinstance(error, errors.LatticeError):
            return
        message, remedy = self.clean(error.message), self.clean(error.remedy)
        if (message, remedy) != (error.message, error.remedy):
            error.args = (message,)
            error.remedy = remedy
            error.__cause__ = None
            error.__suppress_context__ = True

    @contextmanager
    def scrubbing(self) -> Iterator[None]:
        """What is raised within has passed `scrub`."""
        try:
            yield
        except errors.LatticeError as error:
            self.scrub(error)
            raise

    def cleaned(self, error: BaseException) -> BaseException:
        """The error, scrubbed; in place of one of others that holds a secret, one without."""
        self.scrub(error)
        text = self.clean(str(error))
        return error if text == str(error) else errors.ProviderError(f"{type(error).__name__}: {text}")


class RedactingFilter(logging.Filter):
    """For handlers: cleans the message of every record, and the traceback that comes with it."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        clean = self._redactor.clean
        try:
            record.msg = clean(record.getMessage())
        except Exception as error:  # arguments that do not fit their text, or cannot be written: no reason to fail
            record.msg = clean(f"{record.msg} ({type(error).__name__}: what belongs into it cannot be written)")
        record.args = None
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            record.exc_text = clean(record.exc_text)
        if record.stack_info:
            record.stack_info = clean(record.stack_info)
        return True


def _parts(value: str) -> Iterator[str]:
    """The value, and what of it is said alone: without the white space around it, its lines, the password of an
    address."""
    yield from (value, value.strip())
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines if len(line) >= LINE_CHARS_MIN)
    try:
        password = urlsplit(value).password
    except ValueError:  # no address
        return
    if password:
        yield from (password, unquote(password))


def _forms(value: str) -> Iterator[str]:
    """How a value is written down. In base64 what stands beside a value changes its letters at both ends; in each of
    the three places it can have, those between stay."""
    data = value.encode("utf-8", "surrogatepass")
    yield from (value, repr(value)[1:-1], repr(data)[2:-1], data.hex(), data.hex().upper())
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    for quoted in (quote(data), quote(data, safe=""), quote_plus(data), quote(data, safe="").replace("%", "%25")):
        yield from (quoted, _PERCENT.sub(lambda found: found[0].lower(), quoted))
    for before in range(3):
        inner = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = (before * 8 + 5) // 6
        last = (before + len(data)) * 8 // 6
        for text in (inner[first:last], inner[first:] if before == 0 else ""):
            yield from (text, text.replace("+", "-").replace("/", "_"))
