"""Servers and resolvers for the tests of the HTTP client, and one client on a link of its own."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer
from lattice_http_client import HttpClient

from lattice.contracts.httpclient import HttpRequest
from lattice.testing import provider_rig

LOOPBACK = {"allowed_hosts": "127.0.0.1:*", "allow_private": "true"}


@asynccontextmanager
async def serving(handler, **options):
    """An aiohttp server on a free port; `handler` gets every request."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1", skip_url_asserts=True)
    await server.start_server(**options)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def raw_server(reply):
    """Reads one request head and hands (writer) to `reply`."""

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            await reply(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def resolving_by(resolver):
    """The provider with another resolver, or with the system's for None."""

    class Resolving(HttpClient):
        def __init__(self, settings):
            super().__init__(settings, resolver)

    return Resolving


@asynccontextmanager
async def client(tmp_path, resolver=None, **link):
    """A function that sends one request along a link with this configuration."""
    async with provider_rig(resolving_by(resolver), tmp_path) as rig:
        await rig.attach(**(LOOPBACK | link))

        async def send(url, method="GET", headers=None, body=None):
            request = HttpRequest(method=method, url=str(url), headers=headers, body=body)
            return await rig.call("HttpClient.Request", request)

        yield send
        assert rig.failures == []


class FixedResolver(AbstractResolver):
    """Answers with one list of addresses after another and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in found
        ]

    async def close(self):
        pass


async def echo(request):
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[k.lower(), v] for k, v in request.headers.items()],
            "body": (await request.read()).decode("latin-1"),
        }
    )


def told(response):
    return json.loads(response.body)


def redirecting(routes):
    """A server of {path: (status, location)}; everything else is echoed."""

    async def handler(request):
        if request.path in routes:
            status, location = routes[request.path]
            return web.Response(status=status, headers={"location": location}, body=b"over there")
        return await echo(request)

    return serving(handler)
