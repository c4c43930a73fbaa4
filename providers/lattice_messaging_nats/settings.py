"""What the provider and its links can be configured with, beyond what every messaging provider has."""

from __future__ import annotations

from lattice_messaging import RouteSettings as SharedRoute
from lattice_messaging import SubscriptionSettings
from pydantic import Field, model_validator

from lattice.provider import Settings


class NatsSettings(Settings):
    url: str = "nats://127.0.0.1:4222"
    """Servers, separated by commas, the nearest first; links may name others. A user or token stands before the @."""
    connect_timeout: float = Field(default=5.0, gt=0, le=60)
    """Seconds until a link is refused because no server answers."""
    publish_timeout: float = Field(default=2.0, gt=0, le=60)
    """Seconds for handing a message to the server, and with `acknowledge` for its answer."""
    request_timeout_max: float = Field(default=60.0, gt=0, le=3600)
    """Seconds a request waits at most, and when it says 0."""
    requests_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Requests that wait for a reply; one more is refused (`Overloaded`)."""


class _Link(SubscriptionSettings):
    """Of a link in either direction."""

    url: str = ""
    """Other servers than the provider's."""
    allow_reserved: bool = False
    """Also the subjects of the broker ($SYS, $JS) and of the lattice (wasmbus): for tools that watch or steer them."""
    stream: str = ""
    """JetStream stream that holds the subjects: messages are delivered at least once. Needs `durable`."""
    durable: str = ""
    """Name of the durable consumer; links with the same one share its messages."""
    deliveries_max: int = Field(default=5, ge=1, le=1000)
    """How often a message is tried, the first time included."""
    backoff: float = Field(default=1.0, gt=0, le=300)
    """Seconds until the second try; doubled for each further one."""

    @model_validator(mode="after")
    def _durable_is_whole(self) -> _Link:
        if bool(self.stream) != bool(self.durable):
            raise ValueError("stream and durable belong together: give both or neither")
        if self.durable and (set(self.durable) & set(" .*>/\\") or not self.durable.isprintable()):
            raise ValueError(f"durable: {self.durable!r} is not a name: no blanks, dots, slashes or wildcards")
        if self.durable and self.queue_group:
            raise ValueError("queue_group: links with the same durable consumer share its messages already")
        if self.durable and not self.subscriptions:
            raise ValueError("durable: name the subscriptions that it is for")
        return self


class RouteSettings(SharedRoute, _Link):
    """Of a link whose source is the provider."""


class AttachSettings(_Link):
    """Of a link whose target is the provider."""

    acknowledge: bool = False
    """Publish through JetStream: the call returns when a stream has stored the message."""
