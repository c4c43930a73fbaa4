"""Actors of any language under test: `async with host("build/shop.wasm") as h: await h.http("GET", "/")`."""

from lattice.testing.kit.clock import Clock
from lattice.testing.kit.expectations import Expectation, NotExpected
from lattice.testing.kit.faults import Fault, Faults
from lattice.testing.kit.host import StandIn, TestHost, host
from lattice.testing.kit.stage import LogLine
from lattice.testing.kit.transcript import Call, Transcript
from lattice.testing.kit.views import BlobsView, KeyValueView, Published, SqlView
from lattice.testing.kit.web import Reply, Web

__all__ = [
    "BlobsView",
    "Call",
    "Clock",
    "Expectation",
    "Fault",
    "Faults",
    "KeyValueView",
    "LogLine",
    "NotExpected",
    "Published",
    "Reply",
    "SqlView",
    "StandIn",
    "TestHost",
    "Transcript",
    "Web",
    "host",
]
