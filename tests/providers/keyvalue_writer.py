"""A process to be killed: counts without end in the SQLite file under argv[1] and prints each acknowledged number."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from lattice_keyvalue_sqlite import KeyValueSqlite

from lattice.contracts.keyvalue import IncrementRequest, ListAddRequest
from lattice.testing import provider_rig

CALLERS = 8


async def count(folder: Path, durability: str) -> None:
    async with provider_rig(KeyValueSqlite, folder, durability=durability) as rig:
        await rig.attach()

        async def caller(name: str) -> None:
            while True:
                number = await rig.call("KeyValue.Increment", IncrementRequest(key=name, value=1))
                await rig.call("KeyValue.ListAdd", ListAddRequest(list_name=f"{name}-list", value=str(number)))
                # One system call for each line: what was printed is in the pipe whatever happens next.
                os.write(1, f"{name} {number}\n".encode())

        await asyncio.gather(*(caller(f"c{number}") for number in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(count(Path(sys.argv[1]), sys.argv[2]))
