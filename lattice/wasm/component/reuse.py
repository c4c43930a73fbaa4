"""How many calls one instance of a component answers, and what is learned of that while it runs."""

from __future__ import annotations

from lattice.wasm.guest import ActorContext

FAILED_AGAIN_MAX = 3
"""Instances that fail at a later call while none has answered one: then the component is taken for one that cannot. One
alone may have met a request that it cannot answer either way."""


class Reuse:
    """For the instances of one component. `calls_max` 0 is without end."""

    __slots__ = ("_actor", "_failed_again", "_told", "_works", "calls_max")

    def __init__(self, actor: ActorContext, kind_calls_max: int) -> None:
        self._actor = actor
        asked = actor.limits.reuse_max
        self.calls_max = asked or kind_calls_max
        self._works = not asked
        """A kind that says so itself is believed; of others it is seen."""
        self._failed_again = 0
        self._told = False

    def answered_again(self) -> None:
        self._works = True

    def failed_again(self) -> None:
        """An instance that had answered broke at a later call."""
        self._failed_again += 1
        if not self._works and self._failed_again >= FAILED_AGAIN_MAX and self.calls_max != 1:
            self.calls_max = 1
            self._actor.log.warning(
                "%d instances broke at their second call and none answered one: each has a single call from now on."
                " The component is not made for limits.reuse",
                self._failed_again,
            )

    def ended(self, why: str) -> None:
        """An instance is thrown away although it answered. Told once: it is most likely so each time."""
        if not self._told:
            self._told = True
            self._actor.log.warning("an instance is not used for another call: %s", why)
