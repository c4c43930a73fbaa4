"""What a capability provider is made of: subclass `Provider`, name a contract, answer its operations.

A provider has this life, always in this order and never two steps at once:

    start -> attach / route (a link each) -> calls -> detach / unroute -> drain -> stop

It is called along links on which it is the *target* (an actor attached to it) and calls along links on which it is the
*source* (a route to an actor). Every call in gets the state that its `attach` returned, so a provider keeps nothing
by hand. Nothing here knows whether the host is in the same process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

import pydantic

from lattice import errors, wire
from lattice.bodies import Bodies
from lattice.contracts.message import Contract, Operation
from lattice.edge import persist
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.links import Link
from lattice.security.redaction import Redactor
from lattice.tasks import end_all

__all__ = ["Attached", "Caller", "Context", "EntityId", "Link", "NoSettings", "Provider", "Route", "Settings"]

Attached = TypeVar("Attached")
"""What `attach` returns for a link along which an actor calls the provider."""
Route = TypeVar("Route")
"""What `route` returns for a link along which the provider calls an actor."""


class Settings(pydantic.BaseModel):
    """Configuration of a provider or of a link: unknown keys are mistakes, values arrive as strings."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """None: a setting may be a secret."""
        return ()


class NoSettings(Settings):
    """For what cannot be configured."""


class Caller(Protocol):
    """Calls an actor with bytes."""

    def __call__(
        self, payload: bytes, deadline: float, repeatable: bool = False, bodies: Bodies | None = None, /
    ) -> Awaitable[bytes]:
        """`deadline` is a time of `time.monotonic()`. A call that did not happen is made again until then; one that may
        have happened only if it is `repeatable`. `bodies` is what goes beside the payload; once it was touched the call
        is not made again."""


def takes_whole(_key: str, _operation: str) -> bool:
    """The rule where nobody is known to take bodies in pieces."""
    return False


@dataclass(slots=True)
class Context:
    """What the host lends a provider: its name, a folder to keep data in, a log, and a way to call actors.

    `call(link, operation, message, deadline)` calls the actor at the far end of `link` and returns its reply as a
    message; `deadline` is a time of `time.monotonic()`. Raises `errors.CallError`. A call that did not happen, because
    nobody could be reached, is made again until the deadline; one that may have happened only if it is `repeatable`.
    """

    key: str
    data: Path
    log: logging.Logger
    handler: Handler
    report_failure: Callable[[BaseException], None]
    redactor: Redactor = field(default_factory=Redactor)
    """Takes secrets out of what leaves the provider as text."""
    takes_pieces: Callable[[str, str], bool] = takes_whole
    """Whether the actor with this key takes the bodies of this operation in pieces at the moment."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def call(
        self, link: Link, operation: Operation, message: Any, deadline: float, *, repeatable: bool = False
    ) -> Any:
        payload = wire.encoder(operation.request)(message)
        return wire.reply_decoder(operation)(await self.caller(link, operation)(payload, deadline, repeatable))

    def caller(self, link: Link, operation: Operation) -> Caller:
        """`call` made ready once for many calls, with messages as bytes: `await caller(payload, deadline)`."""
        origin = EntityId(self.key, link.contract, link.name)
        target = EntityId(link.target if link.source == self.key else link.source)
        handler, contract, name, link_name = self.handler, link.contract, operation.name, link.name

        def call(
            payload: bytes, deadline: float, repeatable: bool = False, bodies: Bodies | None = None, /
        ) -> Awaitable[bytes]:
            invocation = Invocation(
                origin, contract, name, payload, new_id(), deadline, link_name, target, bodies=bodies
            )
            return persist(handler, invocation, repeatable)

        return call

    def takes_pieces_along(self, link: Link, operation: Operation) -> Callable[[], bool]:
        """Whether the actor at the far end of `link` takes bodies in pieces, to be asked for each call."""
        return partial(self.takes_pieces, link.target if link.source == self.key else link.source, operation.name)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Runs `work` as a task that the host ends with the provider; if it fails, the provider has failed."""
        task = asyncio.create_task(work, name=f"{self.key}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report_failure(error)

    async def cancel_tasks(self) -> None:
        """Ends every task that `spawn` began. Called by the host after `stop`."""
        tasks = list(self._tasks)
        await end_all(tasks)


class Provider(Generic[Attached, Route]):
    """Subclass this; see the module's docstring. Every method has a default that does nothing: override what you need.

    An operation of the contract is a method `async def <Operation.method>(self, attached, message)`; one with a void
    request has no `message`. `attached` is what `attach` returned, or for a built-in the caller's `EntityId`. It
    returns the reply message, or None for a void reply. A method `<Operation.method>_in_pieces(self, attached, message,
    bodies)` beside it answers calls that bring `bodies` (see `lattice.bodies`), and returns None when it has begun its
    reply there. What a method raises reaches the caller: `errors.CallError` as it is, `ConnectionError` and
    `TimeoutError` as `ProviderUnavailable`, anything else as `ProviderError`, logged with its traceback.
    """

    name: ClassVar[str]
    """As in `builtin://NAME`."""
    contract: ClassVar[Contract]
    replicable: ClassVar[bool] = False
    """Whether several copies, on several hosts, are as good as one: they share what they keep, or keep nothing."""
    settings_type: ClassVar[type[Settings]] = NoSettings
    attach_settings_type: ClassVar[type[Settings]] = NoSettings
    """For links whose target is the provider (`target_config`)."""
    route_settings_type: ClassVar[type[Settings]] = NoSettings
    """For links whose source is the provider (`source_config`)."""
    settings: Any
    context: Context

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._attached: dict[tuple[str, str], Attached] = {}
        self._operations: dict[str, _Operation] = {}
        for operation in self.contract.operations:
            method = getattr(self, operation.method, None)
            if method is None:
                continue
            read = None if operation.request is None else wire.request_decoder(operation)
            self._operations[operation.name] = (read, method, wire.encoder(operation.reply))

    async def start(self) -> None:
        """Opens what the provider needs; `self.context` and `self.settings` are set. Raise to say it cannot run."""

    async def attach(self, link: Link, settings: Any) -> Attached:
        """An actor may call from now on. Returns what its calls get as `attached`. Raise to refuse the link."""
        return None  # type: ignore[return-value]  # a provider without state per link

    async def detach(self, link: Link, attached: Attached) -> None:
        """The link is gone; no call along it is running."""

    async def route(self, link: Link, settings: Any) -> Route:
        """The provider may call the actor at `link.target` from now on, and should begin to."""
        return None  # type: ignore[return-value]  # a provider without state per link

    async def unroute(self, link: Link, route: Route) -> None:
        """Stop calling along this link."""

    async def health(self) -> None:
        """Raise when the provider, or what stands behind it, does not work. Called every few seconds."""

    def urls(self) -> list[str]:
        """Where people can reach this provider, for `lattice up` to print."""
        return []

    async def drain(self) -> None:
        """Take nothing new in; return when what was begun is done. The host bounds the wait."""

    async def stop(self) -> None:
        """Release everything. Always called, also after a failed start."""

    # What the host calls.

    def attached(self, source: str, link_name: str) -> Attached:
        """What `attach` returned for this caller."""
        return self._attached[source, link_name]

    @classmethod
    def in_pieces(cls, operation: str) -> bool:
        """Whether it takes the bodies of this operation in pieces."""
        return cls._method_in_pieces(operation) is not None

    @classmethod
    def _method_in_pieces(cls, operation: str) -> Callable[..., Awaitable[Any]] | None:
        names = (f"{known.method}_in_pieces" for known in cls.contract.operations if known.name == operation)
        return getattr(cls, next(names, ""), None)

    async def handle(self, invocation: Invocation) -> bytes:
        """The provider as a `Handler`."""
        # Invariant: the router let only linked callers and, for built-ins, any caller come this far.
        found = self._operations.get(invocation.operation)
        if found is None:
            raise errors.OperationUnknown(
                f"{self.name} has no operation {invocation.operation!r}; it has {', '.join(self._operations) or 'none'}"
            )
        read, method, write = found
        attached: Any = self._attached.get((invocation.origin.key, invocation.link_name), _NOBODY)
        if attached is _NOBODY:
            if not self.contract.built_in:
                raise errors.ProviderUnavailable(f"{self.name} has not taken the link of {invocation.origin.key}")
            attached = invocation.origin
        try:
            if read is None:
                return write(await method(attached))
            if invocation.bodies is not None:
                in_pieces = self._method_in_pieces(invocation.operation)
                assert in_pieces is not None, "the pipeline makes bodies whole for what takes no pieces"
                reply = await in_pieces(self, attached, read(invocation.payload), invocation.bodies)
                return b"" if reply is None else write(reply)
            return write(await method(attached, read(invocation.payload)))
        except errors.CallError as error:
            self.context.redactor.scrub(error)
            raise
        except (ConnectionError, TimeoutError) as error:
            message = self.context.redactor.clean(f"{self.name}: {error or type(error).__name__}")
            raise errors.ProviderUnavailable(message) from error
        except Exception as error:
            self.context.log.exception("%s failed in %s", self.name, invocation.operation)
            message = self.context.redactor.clean(f"{self.name}: {type(error).__name__}: {error}")
            raise errors.ProviderError(message) from error

    async def attach_link(self, link: Link) -> None:
        """`attach` with validated settings."""
        settings = validated(self.attach_settings_type, link.target_config, f"link {link}: target_config")
        self._attached[link.source, link.name] = await self.attach(link, settings)

    async def detach_link(self, link: Link) -> None:
        if (link.source, link.name) in self._attached:
            await self.detach(link, self._attached.pop((link.source, link.name)))

    async def route_link(self, link: Link) -> Route:
        """`route` with validated settings."""
        settings = validated(self.route_settings_type, link.source_config, f"link {link}: source_config")
        return await self.route(link, settings)


_NOBODY = object()

_Operation: TypeAlias = tuple[Callable[[bytes], Any] | None, Callable[..., Awaitable[Any]], Callable[[Any], bytes]]
"""How to read the request (None: there is none), what answers it, how to write the reply."""
SettingsType = TypeVar("SettingsType", bound=Settings)


def validated(type_: type[SettingsType], values: dict[str, str], where: str) -> SettingsType:
    """Strings from a manifest as settings. Raises `errors.ConfigError` that names `where`, the key and the mistake."""
    try:
        return type_.model_validate(values)
    except pydantic.ValidationError as error:
        parts = []
        for problem in error.errors(include_url=False):
            key = ".".join(str(part) for part in problem["loc"]) or "(all)"
            if problem["type"] == "extra_forbidden":
                known = ", ".join(sorted(type_.model_fields)) or "none"
                parts.append(f"{key}: no such key; known keys: {known}")
            else:
                parts.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
        raise errors.ConfigError(f"{where}: {'; '.join(parts)}") from error
