"""actors/parcels as its page says; links that lead to what does not export their interface; signed actors."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from lattice import errors, wasmfile, wire
from lattice.authoring import capabilities
from lattice.contracts.httpserver import HttpRequest
from lattice.control.manifest import load
from lattice.control.settings_check import check_application
from lattice.host import Host, HostSettings
from lattice.invocation import EntityId, Invocation, new_id
from lattice.security.settings import ActorTrust, SecuritySettings
from lattice.supervisor import Installed
from tests.actors.applications import ACTORS, application
from tests.e2e.running import manifest
from tests.support.hosts import guest_wasm
from tests.support.signed import ACTOR, ISSUER, OTHER_ACTOR, signed

INTERFACE = "lattice:parcels/postage"
HTTP = "wasmcloud:httpserver"
DESK = ACTORS / "parcels-component" / "parcels-component.wasm"
POSTAGE = ACTORS / "postage" / "postage.wasm"
REQUEST = wire.encode(HttpRequest(method="GET", path="/x/FR/500", query_string="", header={}, body=b""))


async def test_parcels_are_priced_by_two_kinds_of_actors(tmp_path: Path) -> None:
    async with application(ACTORS / "parcels" / "app.yaml", tmp_path) as parcels:
        for path in ("/c", "/component"):
            assert await parcels.text(f"{path}/FR/500") == '{"cents":1015,"zone":"near","days":[2,4]}\n'
            assert await parcels.text(f"{path}/FR/500/sx/50000") == '{"cents":3230,"zone":"near","days":[1,2]}\n'
            async with parcels.http.get(f"{path}/XX/500") as response:
                assert (response.status, await response.json()) == (422, {"error": "no post goes to XX"})
            for nonsense in ("", "/FR", "/fr/500", "/FR/much", "/FR/500/q", "/FR/500/s/dear", "/FR/500/s/1/more"):
                async with parcels.http.get(f"{path}{nonsense}") as response:
                    assert response.status == 404, nonsense


def test_what_a_component_imports_from_others_is_among_its_capabilities() -> None:
    for image, found in ((DESK, {HTTP, INTERFACE}), (POSTAGE, set())):
        data = image.read_bytes()
        assert capabilities.contracts(data, wasmfile.describe(data)) == found


def part(name: str, target: str = "", contract: str = INTERFACE) -> str:
    link = f"{{type: link, properties: {{target: {target}, contract: '{contract}'}}}}" if target else ""
    return f"{{name: {name}, type: component, properties: {{image: file://{name}.wasm}}, traits: [{link}]}}"


async def test_a_link_to_a_component_for_what_it_does_not_export_is_found_before_anything_is_called(
    tmp_path: Path,
) -> None:
    images = {"desk": DESK.read_bytes(), "postage": POSTAGE.read_bytes(), "relay": guest_wasm("relay")}
    other = "lattice:parcels/stamps"
    wrong = manifest(tmp_path, part("desk", "postage", other), part("postage"), images=images)
    told = "a link leads to postage for lattice:parcels/stamps, which it does not export"
    installed = Installed()
    with pytest.raises(errors.ManifestError, match=told) as caught:
        check_application(load(wrong, installed), installed.type)
    assert (caught.value.line, caught.value.remedy.partition(";")[0]) == (6, f"it exports {INTERFACE}")
    async with Host(HostSettings(data=tmp_path / "data")) as host:
        with pytest.raises(errors.ConfigError, match=told):
            await host.deploy(load(wrong, host.installed))
        assert not list(host.actors)
    # What is no component answers what it likes, and what has no slash is not WIT.
    right = manifest(tmp_path, part("desk", "relay", other), part("relay", "desk", "shop:stamps"), images=images)
    check_application(load(right, installed), installed.type)


@pytest.mark.parametrize("caps", [(HTTP, INTERFACE), (HTTP,)])
async def test_signed_actors_need_the_interface_among_their_capabilities(tmp_path: Path, caps: tuple[str, ...]) -> None:
    images = {
        "desk": signed(DESK.read_bytes(), caps=caps),
        "postage": signed(POSTAGE.read_bytes(), subject=OTHER_ACTOR.public),
    }
    path = manifest(tmp_path, part("desk", "postage"), part("postage"), images=images)
    trust = SecuritySettings(actors=ActorTrust(issuers=frozenset({ISSUER.public}), unsigned=False))
    async with Host(HostSettings(data=tmp_path / "data", security=trust)) as host:
        await host.deploy(load(path, host.installed))
        call = Invocation(
            origin=EntityId(host.key),
            contract="",
            operation="HttpServer.HandleRequest",
            payload=REQUEST,
            id=new_id(),
            deadline=time.monotonic() + 20,
            target=EntityId(ACTOR.public),
        )
        if INTERFACE in caps:
            assert b'"cents":1015' in await host.pipeline(call)
            assert host.metrics.calls[OTHER_ACTOR.public] == 1
        else:
            said = f"not_granted: desk ({ACTOR.public}) may not use {INTERFACE}: its claims hold {HTTP}"
            with pytest.raises(errors.GuestTrapped, match=re.escape(said)):
                await host.pipeline(call)
            assert host.metrics.refused[ACTOR.public, "not_granted"] == 1
