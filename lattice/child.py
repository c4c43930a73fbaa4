"""What every child process of this program has in common: it ends when its parent does."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable, Collection, Mapping

_PR_SET_PDEATHSIG = 1
_NEEDED = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "TZ", "LANG", "SYSTEMROOT"}
# One by one: GO would fit GOOGLE_API_KEY too.
_NEEDED |= {"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK"}
_NEEDED_BEGINNINGS = ("LC_", "SSL_CERT_")
"""The rest of this process's variables may hold secrets, and whoever may look at a child can read its."""


def plain_environment(environment: Mapping[str, str], more: Collection[str] = ()) -> dict[str, str]:
    """Of a process's variables those that a program needs to run at all, and those that are named in `more`."""
    return {
        name: value
        for name, value in environment.items()
        if name in _NEEDED or name in more or name.startswith(_NEEDED_BEGINNINGS)
    }


def end_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: on Linux the kernel ends the child when the thread that started it ends; elsewhere None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded in the parent: between fork and exec little may be done

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare
