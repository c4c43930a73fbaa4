"""wasmcloud:messaging inside one process. See docs/providers/messaging-memory.md."""

from lattice_messaging_memory.provider import MemorySettings, MessagingMemory

__all__ = ["MemorySettings", "MessagingMemory"]
