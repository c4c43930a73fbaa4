"""Counts the ticks of a timer."""

from nanolattice import Tick, http, keyvalue, on_timer


@on_timer()
def tick(tick: Tick) -> None:
    keyvalue.increment("ticks")
    keyvalue.set("last", str(tick.scheduled_ms))


@http.get("/")
def ticks() -> dict[str, int]:
    return {"ticks": int(keyvalue.get("ticks") or 0), "last": int(keyvalue.get("last") or 0)}
