"""lattice:cron - an actor called at set times."""

from __future__ import annotations

from lattice.contracts.message import Contract, Message, Operation


class Tick(Message, frozen=True, kw_only=True):
    """`timer` is the name of the link; `scheduled_ms` the time it was due and `now_ms` the time it was sent, both in
    milliseconds since 1970-01-01 UTC; `missed` the ticks before it that were due and not sent."""

    timer: str
    scheduled_ms: int
    now_ms: int
    missed: int = 0


HANDLE_TICK = Operation("Cron.HandleTick", "handle_tick", Tick, None)

CONTRACT = Contract("lattice:cron", actor_operations=(HANDLE_TICK,))
