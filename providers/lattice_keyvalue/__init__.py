"""What every key-value provider shares: the bytes interface, its rules, and the messages of the contract.

A backend implements `Bucket` and subclasses `KeyValueProvider` with an `attach` that returns one.
"""

from lattice_keyvalue.bucket import Bucket, Kind, Page, Swap
from lattice_keyvalue.provider import KeyValueProvider
from lattice_keyvalue.shared import SharedClients

__all__ = ["Bucket", "KeyValueProvider", "Kind", "Page", "SharedClients", "Swap"]
