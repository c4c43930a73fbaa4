"""Where log lines go: standard error, for people or as one JSON document a line."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from enum import StrEnum


class LogFormat(StrEnum):
    """What `--log-format` takes."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """What `--log-level` takes."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "error"?}`; times are UTC."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: LogLevel, format_: LogFormat) -> None:
    """Sends the logs of this process to standard error. Called once, by the command that starts a host."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonFormatter() if format_ is LogFormat.JSON else text)
    logging.basicConfig(level=level.value.upper(), handlers=[handler], force=True)
