"""Notices that sources were saved, by looking at their times.

Twenty looks a second at a small project take about one percent of a core. In return it works on every file system, in
containers and over networks, where notifications of the kernel do not arrive: docs/adr/0021 has the figures.
"""

from __future__ import annotations

import asyncio

from lattice.authoring.project import Project
from lattice.authoring.sources import sources

LOOK_S = 0.05
"""Between two looks: half of it is added to the time from a save to its answer."""
SETTLE_S = 0.02
"""Editors write, rename and set times in a row; the last look has to agree with the one before it."""


class Watcher:
    """The sources of one project, as they were when `changed` returned last."""

    def __init__(self) -> None:
        self._known: list[tuple[str, int]] = []

    async def changed(self, project: Project, suffixes: tuple[str, ...]) -> list[str]:
        """Waits for the next change and returns the files that are new, gone or saved. All of them the first time."""
        while True:
            found = await asyncio.to_thread(sources, project, suffixes)
            if found != self._known:
                while True:
                    await asyncio.sleep(SETTLE_S)
                    again = await asyncio.to_thread(sources, project, suffixes)
                    if again == found:
                        break
                    found = again
                before, self._known = self._known, found
                return sorted({path for path, _ in {*before} ^ {*found}})
            await asyncio.sleep(LOOK_S)
