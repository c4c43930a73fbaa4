"""Several actors on one port, told apart by what a manifest says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.e2e.guests import answering
from tests.e2e.running import actor, manifest, routes, seen, serving

ROUTES = {
    "everything": {},
    "api": {"path": "/api"},
    "reader": {"path": "/api/items", "methods": "GET"},
    "writer": {"path": "/api/items", "methods": "POST,PUT"},
    "health": {"path": "=/health"},
    "shop": {"host": "shop.example.org"},
    "cart": {"host": "shop.example.org", "path": "/cart"},
    "below": {"host": "*.example.org"},
    "old": {"path": "/old", "operation": "HandleRequest", "header_values": "text"},
}
ASKED = (
    ("GET", "any.test", "/", "everything"),
    ("GET", "any.test", "/apix", "everything"),
    ("DELETE", "any.test", "/api/other", "api"),
    ("GET", "any.test", "/api/items/1", "reader"),
    ("HEAD", "any.test", "/api/items/1", "reader"),
    ("PUT", "any.test", "/api/items/1", "writer"),
    ("GET", "any.test", "/health", "health"),
    ("GET", "any.test", "/health/more", "everything"),
    ("GET", "shop.example.org", "/", "shop"),
    ("GET", "SHOP.example.org:8080", "/cart/1?x=y", "cart"),
    ("GET", "deep.er.example.org", "/api", "below"),
    ("GET", "example.org", "/api", "api"),
    ("GET", "any.test", "/old", "old"),
)


async def test_actors_share_a_port_by_host_prefix_exact_path_and_method(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        *(actor(name) for name in ROUTES),
        routes(**ROUTES),
        images={name: answering(name) for name in ROUTES},
    )
    with serving(path) as served:
        assert f"http://shop.example.org:{served.port}/cart" in served.up.out
        assert "does not accept" not in served.up.err, "whose name that is, this machine's resolver need not know"
        async with served.client() as client:
            for method, host, target, expected in ASKED:
                request = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
                response = await client.ask(request.encode())
                assert (response.status, response.header("x-actor")) == (200, expected), (method, host, target)
                if expected == "old":
                    assert msgspec.msgpack.decode(response.body)["header"] == {"host": host, "content-length": "0"}
                elif method != "HEAD":
                    assert (seen(response).method, seen(response).path) == (method, target.partition("?")[0])
                operation = "HandleRequest" if expected == "old" else "HttpServer.HandleRequest"
                assert response.header("x-operation") == operation
            refused = await client.ask(b"DELETE /api/items HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (refused.status, refused.header("allow")) == (405, "GET, HEAD, OPTIONS, POST, PUT")
