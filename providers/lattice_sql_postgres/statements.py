"""What can be known of a statement from its first word. Pure."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_COMMENT_MARK = re.compile(r"/\*|\*/")


def first_word(sql: str) -> str:
    """The first word in lower case, past blanks and comments (which nest in PostgreSQL); "" when there is none."""
    at = 0
    while True:
        rest = sql[at:]
        at += len(rest) - len(rest.lstrip())
        if sql.startswith("--", at):
            end = sql.find("\n", at)
            if end < 0:
                return ""
            at = end
        elif sql.startswith("/*", at):
            at = _comment_end(sql, at)
        else:
            found = _WORD.match(sql, at)
            return found[0].lower() if found else ""


def _comment_end(sql: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, at):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(sql)
