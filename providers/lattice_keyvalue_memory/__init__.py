"""wasmcloud:keyvalue in the memory of one process: for tests, which begin with nothing and leave nothing behind."""

from lattice_keyvalue_memory.bucket import MemoryBucket
from lattice_keyvalue_memory.provider import KeyValueMemory

__all__ = ["KeyValueMemory", "MemoryBucket"]
