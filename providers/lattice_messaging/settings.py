"""What a link to a messaging provider can be configured with, whichever provider it is."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from lattice.provider import Settings
from lattice_messaging.subjects import overlap, subscribable

SUBSCRIPTIONS_MAX = 100
"""Patterns of one link. More are better said with a wildcard."""


def _patterns(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = tuple(subscribable(part.strip()) for part in value.split(",") if part.strip())
    if len(found) > SUBSCRIPTIONS_MAX:
        raise ValueError(f"{len(found)} subjects; at most {SUBSCRIPTIONS_MAX} are allowed")
    for one, other in combinations(found, 2):
        if overlap(one.split("."), other.split(".")):
            raise ValueError(f"{one!r} and {other!r} match the same subjects: the actor would get messages twice")
    return found


class SubscriptionSettings(Settings):
    """Of a link in either direction: `subscriptions` may stand in the configuration of an actor's own link."""

    subscriptions: Annotated[tuple[str, ...], BeforeValidator(_patterns)] = ()
    """Comma separated subjects that the actor gets, with the wildcards `*` and `>`."""
    queue_group: str = ""
    """Of all links with this group, one gets each message. Without it every link does."""
    timeout: float = Field(default=10.0, gt=0, le=3600)
    """Seconds the actor has for one message."""
    concurrency: int = Field(default=1, ge=1, le=1000)
    """Messages the actor handles at once. With 1 they are handled in the order they came in."""
    queue_messages_max: int = Field(default=1000, ge=1, le=1_000_000)
    """Messages that wait for the actor."""
    queue_bytes_max: int = Field(default=64 * 1024 * 1024, ge=1)
    """Bodies of the messages that wait, together: a thousand large ones would fill the memory."""

    @field_validator("queue_group")
    @classmethod
    def _group(cls, value: str) -> str:
        if value and (any(c in ".*>" for c in value) or subscribable(value) != value):
            raise ValueError(f"{value!r} is not the name of a group: one word without dots and wildcards")
        return value


class RouteSettings(SubscriptionSettings):
    """Of a link whose source is the provider: it has to say what the actor gets."""

    subscriptions: Annotated[tuple[str, ...], BeforeValidator(_patterns), Field(min_length=1)]
