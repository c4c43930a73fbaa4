"""wasmcloud:builtin:numbergen - random numbers from the operating system, fit for keys and tokens."""

from __future__ import annotations

import secrets
import uuid

from lattice.contracts.builtin import NUMBERGEN, RangeLimit
from lattice.errors import ProviderError
from lattice.provider import EntityId, Provider


class NumberGen(Provider[EntityId, None]):
    name = "builtin-numbergen"
    replicable = True
    contract = NUMBERGEN

    async def generate_guid(self, _caller: EntityId) -> str:
        """A version 4 UUID, in lower case with hyphens."""
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    async def random_in_range(self, _caller: EntityId, limits: RangeLimit) -> int:
        """Each number from `min` to `max`, both included, is as likely as any other. Raises `ProviderError`."""
        if limits.min > limits.max:
            raise ProviderError(
                f"RandomInRange: min ({limits.min}) is greater than max ({limits.max})",
                remedy="give the smaller number as min",
            )
        return limits.min + secrets.randbelow(limits.max - limits.min + 1)

    async def random_32(self, _caller: EntityId) -> int:
        """0 to 4,294,967,295."""
        return secrets.randbits(32)
