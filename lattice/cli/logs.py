"""Where log lines go: standard error, for people or as one JSON document a line."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lattice.security.redaction import Redactor


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
        if record.exc_text:  # made already, without secrets
            line["error"] = record.exc_text
        elif record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: LogLevel, format_: LogFormat) -> None:
    """Sends the logs of this process to standard error. Called once, by the command that starts a host."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonFormatter() if format_ is LogFormat.JSON else text)
    logging.basicConfig(level=level.value.upper(), handlers=[handler], force=True)


def keep_out(redactor: Redactor) -> None:
    """Lets no line that holds a secret of this process reach standard error, after `configure`. What Python would write
    there by itself, of threads that fail and of warnings, becomes log lines."""
    from lattice.security.redaction import RedactingFilter

    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(redactor))
    logging.captureWarnings(True)
    log = logging.getLogger("lattice.host")

    def thread_failed(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "a thread"
        log.error("%s failed", name, exc_info=_exc_info(args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        what = args.err_msg or "an error could not be raised"
        log.error("%s", what, exc_info=_exc_info(args.exc_type, args.exc_value, args.exc_traceback))

    threading.excepthook = thread_failed
    sys.unraisablehook = unraisable


def _exc_info(type_: type[BaseException], value: BaseException | None, traceback: Any) -> Any:
    return (type_, value or type_(), traceback)
