"""Messages on subjects: the contract wasmcloud:messaging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from nanolattice import host, records
from nanolattice.answering import answer
from nanolattice.errors import Error

CONTRACT = "wasmcloud:messaging"
TIMEOUT_S = 2.0
"""How long a request waits for its reply unless it says otherwise."""

T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """`reply_to` is None when nobody waits for a reply."""

    subject: str
    body: bytes = b""
    reply_to: str | None = None

    @property
    def text(self) -> str:
        """The body as text. Raises `Error` "invalid" if it is none."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise Error("invalid", f"the message on {self.subject} is not text") from error

    def json(self, type_: type[T]) -> T:
        """The body as a dataclass or whatever `type_` says. Raises `Error` "invalid"."""
        return records.from_json(type_, self.body, f"the message on {self.subject}")


Answer: TypeAlias = "bytes | str | None"
Handler = Callable[[Message], Answer]
H = TypeVar("H", bound=Handler)

handlers: list[tuple[list[str], Handler]] = []
"""The words of a pattern, and who takes what fits it."""


def on_message(pattern: str = ">") -> Callable[[H], H]:
    """Names the function that takes the messages on subjects that fit: `*` is one word, a final `>` one or more. Of
    several that fit, the first is called. What it returns is sent to whoever waits for a reply.

    Which subjects reach the actor at all is said by its link: `subscriptions` in the manifest.
    """

    def register(handler: H) -> H:
        handlers.append((pattern.split("."), handler))
        answer("MessageSubscriber", "HandleMessage", take)
        return handler

    return register


def publish(subject: str, body: bytes | str = b"", *, reply_to: str | None = None, link: str = "default") -> None:
    message: dict[str, Any] = {"subject": subject, "body": _bytes(body)}
    if reply_to is not None:
        message["replyTo"] = reply_to
    host.ask(link, CONTRACT, "Messaging.Publish", message)


def request(subject: str, body: bytes | str = b"", *, timeout_s: float = TIMEOUT_S, link: str = "default") -> Message:
    """Publishes and waits for one reply. Raises `Error`, `deadline_exceeded` when none came."""
    message = {"subject": subject, "body": _bytes(body), "timeoutMs": int(timeout_s * 1000)}
    return _message(host.ask(link, CONTRACT, "Messaging.Request", message))


def take(found: dict[str, Any]) -> None:
    """Gives an arrived message to the handler that it is for. Raises what that raises."""
    message = _message(found)
    words = message.subject.split(".")
    for pattern, handler in handlers:
        if _fits(pattern, words):
            reply = handler(message)
            if reply is not None and message.reply_to:
                publish(message.reply_to, reply)
            return
    raise Error("operation_unknown", f"this actor takes no messages on {message.subject}")


def _message(found: dict[str, Any]) -> Message:
    return Message(found["subject"], found.get("body") or b"", found.get("replyTo"))


def _fits(pattern: list[str], words: list[str]) -> bool:
    for number, part in enumerate(pattern):
        if part == ">" and number == len(pattern) - 1:
            return len(words) > number
        if number >= len(words) or part not in ("*", words[number]):
            return False
    return len(pattern) == len(words)


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body
