"""Where a call may be made again: at the edge of the lattice, and nowhere inside it.

Only whoever took a request in knows whether it may happen twice. A call that did not happen is repeated anyway; the
next attempt finds another copy, because the host that failed is left out for a moment.
"""

from __future__ import annotations

import asyncio

import msgspec

from lattice import errors
from lattice.invocation import Handler, Invocation, new_id

PAUSE_S_MIN, PAUSE_S_MAX = 0.02, 0.25
"""Between attempts: a copy elsewhere answers at once, a replacement starts within seconds."""


async def persist(handler: Handler, invocation: Invocation, repeatable: bool) -> bytes:
    """Calls until it is answered or the deadline is near. `repeatable`: the operation may happen twice.

    Raises what the last attempt raised. A call whose bodies were touched is not made again: they come once.
    """
    pause_s = PAUSE_S_MIN
    while True:
        try:
            return await handler(invocation)
        except (errors.Unreachable, errors.Draining):
            if invocation.bodies is not None and not invocation.bodies.untouched:
                raise
        except errors.AnswerLost:
            if not repeatable or (invocation.bodies is not None and not invocation.bodies.untouched):
                raise
        now = asyncio.get_running_loop().time()
        if now + pause_s >= invocation.deadline:
            # The last attempt, whose error is the one to tell.
            return await handler(invocation)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
        invocation = msgspec.structs.replace(invocation, id=new_id())
