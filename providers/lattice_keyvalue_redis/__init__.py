"""Key-value in Redis. See docs/providers/keyvalue-redis.md."""

from lattice_keyvalue_redis.provider import KeyValueRedis

__all__ = ["KeyValueRedis"]
