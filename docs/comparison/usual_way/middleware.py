"""Around every request: its span, its deadline, its counts, and errors as JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from .models import explain
from .settings import Settings
from .store import StoreUnavailable
from .telemetry import Telemetry

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger("links.requests")


def failure(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=headers)


def observed(telemetry: Telemetry) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        parent = telemetry.propagator.extract(request.headers)
        started = time.perf_counter()
        with telemetry.tracer.start_as_current_span(route, context=parent, kind=SpanKind.SERVER) as span:
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status)
        telemetry.requests.labels(route, str(response.status)).inc()
        telemetry.seconds.labels(route).observe(time.perf_counter() - started)
        return response

    return around


def guarded(settings: Settings) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(settings.request_timeout_s):
                return await handler(request)
        except ValidationError as error:
            return failure(400, explain(error))
        except StoreUnavailable as error:
            _log.warning("the store cannot be used: %s", error)
            return failure(503, "the store cannot be used; try again", **{"Retry-After": "1"})
        except TimeoutError:
            return failure(504, "it took too long")
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return failure(error.status, error.reason.lower(), **headers)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return failure(500, "something went wrong here")

    return around
