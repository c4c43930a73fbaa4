"""Every error this project raises, and the code each one has on the wire.

    LatticeError
    +-- ConfigError              a setting, manifest or link that cannot be used; nothing was started
    |   +-- ManifestError        the same, with file, line and column
    |   +-- SecretUnavailable    a secret that a manifest refers to and this host cannot have now
    +-- ArtifactError            a file that cannot be run
    |   +-- NotWasm              not WebAssembly, or cut short
    |   +-- UnsupportedGuest     WebAssembly, but not something this host can run
    |   +-- ArtifactUnreadable   missing, too large, or not readable
    |   +-- ArtifactMismatch     not what its digest, size or type says
    |   +-- RegistryUnavailable  a registry cannot be reached, or does not answer in time
    |   +-- RegistryRefused      a registry says no, or wants what this host does not do for it
    |   +-- NotAdmitted          not signed by whom this host trusts, changed since, expired, or not signed at all
    +-- EngineError              the WebAssembly engine itself failed
    |   +-- InstancesExhausted   no room for one more live instance in this process
    +-- TokenInvalid             a signed token that cannot be read, was not signed by its issuer, or is out of its time
    +-- StoreUnavailable         the lattice's state cannot be read or written now
    +-- Conflict                 somebody else changed it meanwhile
    +-- ToolMissing              a compiler that an actor's language needs is not on this machine
    +-- BuildFailed              an actor's sources do not compile, or not to something that can run
    +-- CallError                one call failed; the host goes on (these travel between hosts)
        +-- NotLinked            no link for (origin, contract, link name)
        +-- NotGranted           the actor's claims do not hold the contract
        +-- Denied               policy said no
        +-- NotAuthentic         not signed by the lattice: forged, altered, meant for another, replayed or stale
        +-- TargetUnknown        nobody answers to that key, alias or contract
        +-- Unreachable          nobody who could answer could be reached; the call did not happen
        +-- AnswerLost           it was sent and no answer came; the call may have happened
        +-- OperationUnknown     the target is there and has no such operation
        +-- DeadlineExceeded     the caller's time ran out; the work may have happened
        +-- Cancelled            the caller went away
        +-- Overloaded           a queue or pool is at its limit
        +-- Draining             the target is stopping and takes no new calls
        +-- PayloadTooLarge      a payload over the limit of its receiver
        +-- CallDepthExceeded    calls that cause calls, deeper than the limit
        +-- MalformedMessage     bytes that are not the message the contract names
        +-- GuestError           the guest said that it failed
        |   +-- GuestTrapped     the guest broke: a trap, an abort, an exit
        |   +-- GuestProtocolError  the guest broke the ABI: bad pointer, no reply
        +-- ProviderError        the provider said that the operation failed
            +-- ProviderUnavailable  the provider, or what stands behind it, is down
            +-- HostNotAllowed   an outgoing address that the link does not allow

Codes are stable: other hosts, guests and dashboards read them. docs/errors.md explains each; a test keeps the two
equal.
"""

from __future__ import annotations

from typing import ClassVar


class LatticeError(Exception):
    """Anything this project raises on purpose.

    `str(error)` is one sentence that says what happened; `remedy`, when there is one, says what to do about it.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigError(LatticeError):
    """A setting, manifest or link that cannot be used; nothing was started."""

    code = "config"


class ManifestError(ConfigError):
    """A mistake in a manifest. `line` and `column` count from 1; 0 means that the place is not known.

    All mistakes are found before anything starts: the first is raised and carries the rest as `others`.
    """

    code = "manifest"

    def __init__(self, message: str, *, file: str = "", line: int = 0, column: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.file = file
        self.line = line
        self.column = column
        self.others: tuple[ManifestError, ...] = ()

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.message}" if place else self.message


class SecretUnavailable(ConfigError):
    """Names the reference, never a value. It may be there at the next try."""

    code = "secret_unavailable"


class ArtifactError(LatticeError):
    code = "artifact"


class NotWasm(ArtifactError):
    code = "not_wasm"


class UnsupportedGuest(ArtifactError):
    code = "unsupported_guest"


class ArtifactUnreadable(ArtifactError):
    code = "artifact_unreadable"


class ArtifactMismatch(ArtifactError):
    code = "artifact_mismatch"


class RegistryUnavailable(ArtifactError):
    """May be tried again; what is in the cache is used meanwhile."""

    code = "registry_unavailable"


class RegistryRefused(ArtifactError):
    code = "registry_refused"


class NotAdmitted(ArtifactError):
    code = "not_admitted"


class EngineError(LatticeError):
    code = "engine"


class InstancesExhausted(EngineError):
    code = "instances_exhausted"


class TokenInvalid(LatticeError):
    code = "token_invalid"


class StoreUnavailable(LatticeError):
    """The outcome of a write is not known then; reads may be made again."""

    code = "store_unavailable"


class Conflict(LatticeError):
    code = "conflict"


class ToolMissing(LatticeError):
    """The remedy is the command that installs it."""

    code = "tool_missing"


class BuildFailed(LatticeError):
    """The message has the compiler's own text, with positions as `file:line:column: message`."""

    code = "build_failed"


class CallError(LatticeError):
    """One call failed. `code` and `message` are all that crosses a process boundary."""

    code = "call"


class NotLinked(CallError):
    code = "not_linked"


class NotGranted(CallError):
    code = "not_granted"


class Denied(CallError):
    """`rule` names what said no, for the log; it does not travel between hosts."""

    code = "denied"
    rule = ""


class NotAuthentic(CallError):
    code = "not_authentic"


class TargetUnknown(CallError):
    code = "target_unknown"


class Unreachable(CallError):
    """May be tried again by whoever called, whatever the operation does."""

    code = "unreachable"


class AnswerLost(CallError):
    """May be tried again only if the operation may happen twice."""

    code = "answer_lost"


class OperationUnknown(CallError):
    code = "operation_unknown"


class DeadlineExceeded(CallError):
    code = "deadline_exceeded"


class Cancelled(CallError):
    code = "cancelled"


class Overloaded(CallError):
    code = "overloaded"


class Draining(CallError):
    code = "draining"


class PayloadTooLarge(CallError):
    code = "payload_too_large"


class CallDepthExceeded(CallError):
    code = "call_depth_exceeded"


class MalformedMessage(CallError):
    code = "malformed_message"


class GuestError(CallError):
    code = "guest_error"


class GuestTrapped(GuestError):
    """`stack` is where in the guest it happened, as the engine tells it; for its author, and does not travel."""

    code = "guest_trapped"
    stack = ""


class GuestProtocolError(GuestError):
    code = "guest_protocol"


class ProviderError(CallError):
    code = "provider_error"


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"


class HostNotAllowed(ProviderError):
    code = "host_not_allowed"


def error_classes() -> dict[str, type[LatticeError]]:
    """Every error class by its code. A provider's own subclass that has no code of its own is not among them."""
    found: dict[str, type[LatticeError]] = {}
    pending: list[type[LatticeError]] = [LatticeError]
    while pending:
        cls = pending.pop()
        found.setdefault(cls.code, cls)  # a class comes before its subclasses, which may inherit its code
        pending.extend(cls.__subclasses__())
    return found
