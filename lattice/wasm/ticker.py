"""Makes a guest that computes give way: a thread that advances the engine's epoch while one does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lattice.wasm import capi

if TYPE_CHECKING:
    from lattice.wasm.engine import Engine

LOOK_S = 0.005
"""How often the ticker looks for a guest that computes: the longest that one can hold the loop before it ticks."""
CALM_TICKS = 3
"""After this many ticks without a guest that computed through one, looking is enough."""
QUIET_LOOKS = 20
"""The ticker sleeps after this many looks without a guest, so that an idle host costs nothing."""


class Ticker:
    """A thread that advances the engine's epoch, so that a guest which computes gives way.

    It looks every `LOOK_S` whether one guest has been running since a tick ago, and ticks only while there is such a
    guest: each wake-up takes the interpreter lock from the loop for a moment. It sleeps when no guest runs at all;
    `wake` is called at the start of a guest's run when `asleep`.
    """

    def __init__(self, engine: Engine, tick_s: float) -> None:
        self.polls = 0
        self.looks = 0
        """How often it has looked: a guest that goes on through one has had its turn."""
        self.asleep = True
        self._engine = engine
        self._tick_s = tick_s
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="lattice-ticker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self.asleep = False
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        engine = self._engine
        quiet = 0
        seen = -1
        while not self._stopped:
            if self.asleep:
                self._wake.wait()
                self._wake.clear()
                quiet = 0
                continue
            time.sleep(LOOK_S)
            self.looks += 1
            if engine.running is not None:
                self._tick_while_one_computes()
                quiet = 0
            elif self.polls != seen:
                seen = self.polls
                quiet = 0
            else:
                quiet += 1
                if quiet >= QUIET_LOOKS:
                    # A guest that starts after this finds `asleep` and wakes us. Between the look above and here no
                    # other thread runs: nothing in between lets go of the interpreter lock.
                    self.asleep = True

    def _tick_while_one_computes(self) -> None:
        """Ticks for as long as, at the end of each tick, a guest is in the very run that it was in at its start."""
        engine = self._engine
        quiet_ticks = 0
        while quiet_ticks < CALM_TICKS and not self._stopped:
            polls = self.polls
            time.sleep(self._tick_s)
            self.looks += 1
            if engine.running is not None and self.polls == polls:
                capi.engine_increment_epoch(engine.address)
                quiet_ticks = 0
            else:
                quiet_ticks += 1
