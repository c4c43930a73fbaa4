"""wasmcloud:messaging over NATS. See docs/providers/messaging-nats.md."""

from lattice_messaging_nats.provider import MessagingNats
from lattice_messaging_nats.settings import AttachSettings, NatsSettings, RouteSettings

__all__ = ["AttachSettings", "MessagingNats", "NatsSettings", "RouteSettings"]
