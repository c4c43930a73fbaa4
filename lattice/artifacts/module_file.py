"""The bytes of a file that somebody named as a module: a manifest, a command, a stranger among those who may give one.

A device has no end, and a pipe may have nothing to say: neither is opened to be read from.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lattice import errors, wasmfile

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Opening a pipe would wait for its other end."""


def read(path: Path, remedy: str = "") -> bytes:
    """All of it, read once. Raises `errors.ArtifactUnreadable`, with `remedy` where the file cannot be read."""
    limit = wasmfile.WASM_BYTES_MAX
    try:
        with open(path, "rb", opener=lambda name, _flags: os.open(name, FLAGS)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise errors.ArtifactUnreadable(f"{path} is no regular file", remedy=remedy)
            # A file may grow while it is read.
            data = file.read(limit + 1) if found.st_size <= limit else b""
    except OSError as error:
        raise errors.ArtifactUnreadable(f"{path} cannot be read: {error.strerror or error}", remedy=remedy) from error
    except ValueError:
        raise errors.ArtifactUnreadable(f"{str(path)[:300]!r} is no path of a file", remedy=remedy) from None
    if found.st_size > limit or len(data) > limit:
        raise errors.ArtifactUnreadable(f"{path} is larger than {limit // 2**20} MiB", remedy="is it WebAssembly?")
    return data
