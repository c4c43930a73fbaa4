"""The link service written the usual way: aiohttp, pydantic, Redis, Prometheus, OpenTelemetry."""
