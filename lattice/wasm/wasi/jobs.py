"""wasi:cli/run as a job: a call runs the program once, as a timer does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lattice import errors
from lattice.invocation import Invocation
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance

Run = Callable[[], Awaitable[Ok | Err]]
"""The guest's export `run`."""


async def run_job(instance: Instance, invocation: Invocation, deadline: float, run: Run) -> bytes:
    """Answers one call, `Cron.HandleTick` for example, by running the program. Raises `errors.CallError`.

    A program that leaves by `exit` with success has succeeded, although that ends it with a trap.
    """
    instance.begin(invocation, deadline)
    instance.spent = "a program runs once"
    try:
        result = await run()
    except errors.GuestError as error:
        if instance.exit_code is None:
            raise
        if instance.exit_code:
            raise errors.GuestError(f"the program exited with code {instance.exit_code}") from error
        return b""
    finally:
        instance.end()
    if isinstance(result, Err):
        raise errors.GuestError("the program said that it failed")
    return b""
