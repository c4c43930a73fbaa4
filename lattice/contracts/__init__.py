"""What each capability means: its operations and the messages that go in and out. No I/O, no behaviour.

The published contracts of the msgpack generation of wasmCloud, so that actors built for it work; contracts of this
project's own carry the prefix `lattice:`. One module per contract; `message.py` says what a message is.
"""
