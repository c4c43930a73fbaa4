"""wasmcloud:blobstore in the memory of one process: for tests, which begin with nothing and leave nothing behind."""

from lattice_blobstore_memory.provider import BlobstoreMemory
from lattice_blobstore_memory.store import MemoryStore

__all__ = ["BlobstoreMemory", "MemoryStore"]
