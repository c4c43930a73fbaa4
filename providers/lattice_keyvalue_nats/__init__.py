"""Key-value in NATS JetStream. See docs/providers/keyvalue-nats.md."""

from lattice_keyvalue_nats.provider import KeyValueNats

__all__ = ["KeyValueNats"]
