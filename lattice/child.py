"""What every child process of this program has in common: it ends when its parent does."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: on Linux the kernel ends the child when the thread that started it ends; elsewhere None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded in the parent: between fork and exec little may be done

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare
