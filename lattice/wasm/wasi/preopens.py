"""wasi:filesystem/preopens: the folders a guest was granted, opened."""

from __future__ import annotations

import asyncio
import os

from lattice import errors
from lattice.wasm.wasi.filesystem import Descriptor, kept
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface


async def _get_directories(instance: Instance) -> list[tuple[Descriptor, str]]:
    found: list[tuple[Descriptor, str]] = []
    for grant in instance.grants.files:
        host = grant.host
        try:
            future = asyncio.get_running_loop().run_in_executor(None, _open_folder, host)
            number = await kept(future)
        except OSError as error:
            raise errors.GuestError(
                f"the granted folder {grant.guest} cannot be opened: {os.strerror(error.errno or 0)}",
                remedy="see that it is there and that the host may read it",
            ) from error
        flags = frozenset({"read", "mutate-directory"} if grant.writable else {"read"})
        found.append((instance.own_beyond_calls(Descriptor(number, flags, grant.writable)), grant.guest))
    return found


def _open_folder(path: os.PathLike[str]) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


PREOPENS = Interface("wasi:filesystem/preopens", functions={"get-directories": _get_directories})
