"""The interfaces of WASI 0.2 that components import, and the contracts of this project behind some of them.

One file for each WIT package. Each says in an `Interface` which functions and resources it has; `interfaces.py` puts
them together for one guest instance. What waits is a coroutine. Source: the public WIT definitions of WASI 0.2, and of
the drafts of keyvalue, config, logging, blobstore and wasmcloud:messaging.
"""
