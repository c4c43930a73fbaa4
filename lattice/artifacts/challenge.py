"""What a server wants to see: the header WWW-Authenticate (RFC 9110, section 11.6.1). Pure; a stranger wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

HEADER_CHARACTERS_MAX = 8192
"""What is read of one header; a challenge has some two hundred."""
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # a grammar's token, no secret
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?=[\s,]|$)(?!\s*=)")
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN})(?=[\s,]|$))')
_ESCAPED = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """One way to be let in. `scheme` and the names of parameters are in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """All that can be read; what comes after something unreadable is left out, since nobody knows what it means."""
    found: list[Challenge] = []
    for header in headers:
        text = header[:HEADER_CHARACTERS_MAX]
        place = 0
        while (scheme := _SCHEME.match(text, place)) is not None:
            place = scheme.end()
            parameters: dict[str, str] = {}
            while (parameter := _PARAMETER.match(text, place)) is not None:
                place = parameter.end()
                quoted, plain = parameter[2], parameter[3]
                value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain
                parameters.setdefault(parameter[1].lower(), value)
            found.append(Challenge(scheme[1].lower(), parameters))
    return found
