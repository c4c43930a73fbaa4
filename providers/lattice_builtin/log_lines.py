"""wasmcloud:builtin:logging - what an actor writes becomes a record of the host's own log."""

from __future__ import annotations

import logging
import unicodedata

from pydantic import Field

from lattice.contracts.builtin import LOGGING, LogEntry
from lattice.provider import EntityId, Provider, Settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control, format (bidirectional overrides, zero width), surrogate, line and paragraph separator: what can forge a
# line, repaint a terminal or hide text.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class LoggingSettings(Settings):
    text_chars_max: int = Field(default=8192, ge=1, le=1024 * 1024)
    """Characters kept of one text. An actor may send megabytes; a log is read by people and stored for long."""


class Logging(Provider[EntityId, None]):
    """Writes each entry to the logger `lattice.actor.<key>`, whoever is set up to read that."""

    name = "builtin-logging"
    replicable = True
    contract = LOGGING
    settings_type = LoggingSettings
    settings: LoggingSettings

    async def write_log(self, caller: EntityId, entry: LogEntry) -> None:
        logger = logging.getLogger(f"lattice.actor.{caller.key}")
        level = LEVELS[entry.level]
        if logger.isEnabledFor(level):
            logger.log(level, "%s", one_line(entry.text, self.settings.text_chars_max))


def one_line(text: str, chars_max: int) -> str:
    """`text` as one printable line: cut to `chars_max` characters (and told so), control characters escaped."""
    kept = text[:chars_max]
    if not kept.isprintable():
        kept = "".join(map(_escaped, kept))
    left = len(text) - chars_max
    return f"{kept}... ({left} more characters)" if left > 0 else kept


def _escaped(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) not in _UNSAFE:
        return character
    return _SHORT.get(character) or character.encode("unicode_escape").decode("ascii")
