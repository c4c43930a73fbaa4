"""wasmcloud:builtin:numbergen - random numbers from the operating system, fit for keys and tokens."""

from __future__ import annotations

import random
import uuid

from lattice.contracts.builtin import NUMBERGEN, RangeLimit
from lattice.errors import ProviderError
from lattice.provider import EntityId, Provider, Settings


class NumberGen(Provider[EntityId, None]):
    """`source` is for tests, which want the same numbers on every run."""

    name = "builtin-numbergen"
    replicable = True
    contract = NUMBERGEN

    def __init__(self, settings: Settings, source: random.Random | None = None) -> None:
        super().__init__(settings)
        self._source = source or random.SystemRandom()

    async def generate_guid(self, _caller: EntityId) -> str:
        """A version 4 UUID, in lower case with hyphens."""
        return str(uuid.UUID(bytes=self._source.randbytes(16), version=4))

    async def random_in_range(self, _caller: EntityId, limits: RangeLimit) -> int:
        """Each number from `min` to `max`, both included, is as likely as any other. Raises `ProviderError`."""
        if limits.min > limits.max:
            raise ProviderError(
                f"RandomInRange: min ({limits.min}) is greater than max ({limits.max})",
                remedy="give the smaller number as min",
            )
        return self._source.randint(limits.min, limits.max)

    async def random_32(self, _caller: EntityId) -> int:
        """0 to 4,294,967,295."""
        return self._source.getrandbits(32)
