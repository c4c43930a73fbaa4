"""The public test kit: actors under test (`host`), a provider on its own (`provider_rig`), and a whole lattice that is
simulated (`simulation`)."""

from lattice.testing.kit import (
    BlobsView,
    Call,
    Clock,
    Expectation,
    Fault,
    Faults,
    KeyValueView,
    LogLine,
    NotExpected,
    Published,
    Reply,
    SqlView,
    StandIn,
    TestHost,
    Transcript,
    Web,
    host,
)
from lattice.testing.provider_rig import ActorStandIn, ProviderRig, provider_rig

__all__ = [
    "ActorStandIn",
    "BlobsView",
    "Call",
    "Clock",
    "Expectation",
    "Fault",
    "Faults",
    "KeyValueView",
    "LogLine",
    "NotExpected",
    "ProviderRig",
    "Published",
    "Reply",
    "SqlView",
    "StandIn",
    "TestHost",
    "Transcript",
    "Web",
    "host",
    "provider_rig",
]
