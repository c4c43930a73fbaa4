"""Ids of signed messages that were here, for as long as their signatures are valid. Pure."""

from __future__ import annotations

from lattice import errors


class Seen:
    """A message that comes a second time is refused. One that does not fit is refused as well: what was forgotten
    could be sent again."""

    def __init__(self, what: str, ids_max: int) -> None:
        self._what = what
        self._ids_max = ids_max
        self._until: dict[str, float] = {}

    def add(self, id: str, now: float, until: float) -> None:
        """`until` is when its signature is over. Raises `errors.NotAuthentic`, `errors.Overloaded`."""
        if self._until.get(id, now) > now:
            raise errors.NotAuthentic(f"{self._what} {id[:80]!r} was here before")
        if len(self._until) >= self._ids_max:
            self._forget(now)
        if len(self._until) >= self._ids_max:
            raise errors.Overloaded(
                f"{self._ids_max} of {self._what} came within the time that one is valid", remedy="try again later"
            )
        self._until.pop(id, None)
        self._until[id] = until

    def __len__(self) -> int:
        return len(self._until)

    def _forget(self, now: float) -> None:
        for id in [id for id, until in self._until.items() if until <= now]:
            del self._until[id]
