"""What goes wrong in a test: which call, and how."""

from __future__ import annotations

from typing import Literal

import msgspec

from lattice import errors
from lattice.testing.kit.clock import Clock
from lattice.testing.kit.expectations import operation_of


class Fault(msgspec.Struct):
    """`nth` counts from 1 among the calls that it is for; None: every one."""

    contract: str
    operation: str
    nth: int | None
    kind: Literal["fail", "slow", "lost"]
    error: errors.CallError | None = None
    seconds: float = 0.0
    seen: int = 0

    def strikes(self, contract: str, operation: str) -> bool:
        """Counts a call; whether this one goes wrong."""
        short = operation.rpartition(".")[2]
        if self.contract not in ("", contract) or self.operation not in ("", operation, short):
            return False
        self.seen += 1
        return self.nth is None or self.seen == self.nth


class Faults:
    """Those of one host. A contract or operation that is not given stands for any; an operation may be written without
    what is before its dot."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[Fault] = []

    def fail(
        self, contract: str = "", operation: str = "", *, nth: int | None = None, error: errors.CallError | None = None
    ) -> Fault:
        """The call does not happen, and fails: with `ProviderUnavailable` if nothing else is said."""
        return self._add(contract, operation, nth, "fail", error=error or errors.ProviderUnavailable("made to fail"))

    def time_out(self, contract: str = "", operation: str = "", *, nth: int | None = None) -> Fault:
        """The call happens, and its answer never comes: the time of the actor that waits for it runs out."""
        return self._add(contract, operation, nth, "lost")

    def slow(self, seconds: float, contract: str = "", operation: str = "", *, nth: int | None = None) -> Fault:
        """The call takes so long, of virtual time."""
        return self._add(contract, operation, nth, "slow", seconds=seconds)

    def clear(self) -> None:
        """Nothing goes wrong from now on."""
        self._faults.clear()

    def _add(
        self,
        contract: str,
        operation: str,
        nth: int | None,
        kind: Literal["fail", "slow", "lost"],
        *,
        error: errors.CallError | None = None,
        seconds: float = 0.0,
    ) -> Fault:
        if nth is not None and nth < 1:
            raise errors.ConfigError(f"calls are counted from 1, and nth is {nth}")
        known = operation_of(contract, operation) if contract and operation else None
        fault = Fault(contract, known.name if known else operation, nth, kind, error, seconds)
        self._faults.append(fault)
        return fault

    def striking(self, contract: str, operation: str) -> list[Fault]:
        """Those that strike this call, which is counted."""
        return [fault for fault in self._faults if fault.strikes(contract, operation)]

    async def before(self, faults: list[Fault]) -> None:
        """What goes wrong before the call. Raises the error of one that fails."""
        for fault in faults:
            if fault.kind == "slow":
                await self._clock.take(fault.seconds)
            elif fault.error is not None:
                raise fault.error

    async def after(self, faults: list[Fault]) -> None:
        if any(fault.kind == "lost" for fault in faults):
            await self._clock.take(float("inf"))
