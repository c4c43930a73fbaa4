"""WASI 0.2 components: read, planned once, and run by the canonical ABI applied here, over their core modules."""
