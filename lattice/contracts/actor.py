"""What every actor may be asked, whatever it is linked to."""

from __future__ import annotations

from lattice.contracts.message import Contract, Message, Operation


class HealthCheckRequest(Message, frozen=True, kw_only=True):
    pass


class HealthCheckResponse(Message, frozen=True, kw_only=True):
    healthy: bool
    message: str | None = None


HEALTH_REQUEST = Operation("Actor.HealthRequest", "health_request", HealthCheckRequest, HealthCheckResponse)

CONTRACT = Contract("wasmcloud:actor", actor_operations=(HEALTH_REQUEST,))
