"""`lattice call` of a function that a component exports: arguments and results as JSON, on a host and in a lattice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import running_up
from tests.cli.test_lattice import document, hosts, until
from tests.e2e.running import ACTORS, manifest
from tests.support.servers import nats_server

POSTAGE = ACTORS / "postage" / "postage.wasm"
INTERFACE = "lattice:parcels/postage"
PARCEL = json.dumps([{"to": "FR", "grams": 500, "services": ["express"]}])
PRICE = {"ok": {"cents": 2030, "zone": "near", "days": [1, 2]}}
Lattice = Callable[..., Any]


def test_a_function_of_a_component_is_called_with_json(tmp_path: Path, lattice: Lattice) -> None:
    part = "{name: postage, type: component, properties: {image: file://postage.wasm}}"
    path = manifest(tmp_path, part, images={"postage": POSTAGE.read_bytes()})
    with running_up(path) as up:
        up.wait_for("test is up")
        to = ("--manifest", path)
        assert document(lattice("call", "postage", f"{INTERFACE}.price", PARCEL, *to)) == PRICE
        assert document(lattice("call", "postage", f"{INTERFACE}@0.1.0.price", PARCEL, *to, "-o", "json")) == PRICE
        assert document(lattice("call", "postage", f"{INTERFACE}.countries", *to))[2] == ["FR", "near"]
        refused = document(lattice("call", "postage", f"{INTERFACE}.price", PARCEL.replace("FR", "XX"), *to))
        assert refused == {"err": {"unknown-country": "XX"}}
        for payload, told in (
            (PARCEL.replace("500", "-1"), "field 'grams': a u32 cannot be read: Expected `int` >= 0"),
            (PARCEL.replace("express", "slow"), "'slow' is none of the flags signed, fragile, express"),
            (PARCEL[1:-1], "Expected `array`, got `object`"),
            ("", "it takes 1, and none came"),
        ):
            wrong = lattice("call", "postage", f"{INTERFACE}.price", payload, *to)
            assert (wrong.code, wrong.out) == (1, "")
            assert told in wrong.err
            assert "send an array: parcel" in wrong.err
        unknown = lattice("call", "postage", f"{INTERFACE}.send", *to)
        assert "it has countries, price" in unknown.err


def test_actors_started_by_hand_are_linked_by_an_interface(here: Path, lattice: Lattice) -> None:
    desk = ACTORS / "parcels-component" / "parcels-component.wasm"
    request = json.dumps({"method": "GET", "path": "/x/FR/500", "queryString": "", "header": {}, "body": ""})
    with nats_server(here) as server, hosts(here, server.url, "east", "west"):
        to = ("--nats", server.url)
        assert lattice("start", "actor", "postage", POSTAGE, "--on", "cloud=west", *to).code == 0
        assert lattice("start", "actor", "desk", desk, "--on", "cloud=east", *to).code == 0
        assert document(lattice("call", "postage", f"{INTERFACE}.price", PARCEL, *to)) == PRICE
        alone = lattice("call", "desk", "HttpServer.HandleRequest", request, *to)
        assert f"not_linked: desk has no link for {INTERFACE}" in alone.err
        put = lattice("link", "put", "desk", "postage", INTERFACE, *to)
        assert put.code == 0, put.err
        (link,) = document(lattice("link", "list", *to, "-o", "json"))
        assert (link["source_id"], link["target"], link["contract"]) == ("desk", "postage", INTERFACE)

        def asked() -> Any:
            return lattice("call", "desk", "HttpServer.HandleRequest", request, *to)

        answer = until(lambda: json.loads(found.out) if (found := asked()).code == 0 else None, "the link is not used")
        assert json.loads(answer["body"]) == {"cents": 1015, "zone": "near", "days": [2, 4]}
        assert lattice("link", "del", "desk", INTERFACE, *to).code == 0
        until(lambda: "not_linked" in asked().err, "the link is used on")
