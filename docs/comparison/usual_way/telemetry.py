"""Logs as JSON, counts for Prometheus, spans for OpenTelemetry."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Histogram

SERVICE = "links"


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace"] = f"{span.trace_id:032x}"
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logs(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class Telemetry:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("links_requests_total", "Requests", ("route", "status"), registry=self.registry)
        self.seconds = Histogram("links_request_seconds", "Time of a request", ("route",), registry=self.registry)
        self.clicks = Counter("links_clicks_total", "Clicks", ("outcome",), registry=self.registry)
        self.tracer = TracerProvider(resource=Resource.create({"service.name": SERVICE})).get_tracer(SERVICE)
        self.propagator = TraceContextTextMapPropagator()
