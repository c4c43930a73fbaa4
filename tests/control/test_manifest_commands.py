"""What manifests say of what is around commands and components; and `modules.toml` of WAGI."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.config import Surroundings, Volume
from lattice.control import manifest
from lattice.control.manifest.modules_toml import parse_modules
from lattice.control.manifest.writer import to_text
from tests.control.manifests import PROVIDERS
from tests.support.commands import HELLO, PROBE

FOLDER = Path("/srv/app")


def application(properties: str) -> manifest.Application:
    text = f"""
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: test}}
spec:
  components:
    - name: one
      type: component
      properties:
        image: file://one.wasm
{properties}"""
    return manifest.parse(text, file="app.yaml", folder=FOLDER, providers=PROVIDERS)


def test_a_manifest_says_what_is_around_a_command() -> None:
    found = application("""
        environment: {COLOR: blue, RATIO: 1.10}
        entrypoint: answer
        volumes:
          - {host: ./data, guest: /data}
          - {host: /var/spool, guest: /spool, writable: true}
""")
    assert found.components[0].surroundings == Surroundings(
        environment={"COLOR": "blue", "RATIO": "1.10"},
        entrypoint="answer",
        volumes=(
            Volume(host="/srv/app/data", guest="/data"),
            Volume(host="/var/spool", guest="/spool", writable=True),
        ),
    )


def test_volumes_can_be_written_as_wagi_has_them() -> None:
    found = application("        volumes: {/data: ./data, /etc/site: /srv/site}\n")
    assert found.components[0].surroundings.volumes == (
        Volume(host="/srv/app/data", guest="/data"),
        Volume(host="/srv/site", guest="/etc/site"),
    )


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("environment: [a]", "environment has to be a mapping"),
        ('environment: {"A=B": c}', "cannot be the name of a variable"),
        ('environment: {A: "x\\0y"}', "has a NUL in it"),
        ("entrypoint: a b", "cannot be the name of a function"),
        ("volumes: [{host: /a}]", "a volume has no 'guest'"),
        ("volumes: [{host: /a, guest: /b, mode: rw}]", "a volume has no key 'mode'"),
        ("volumes: [{host: /a, guest: /b, writable: maybe}]", "writable is true or false"),
        ("volumes: [{host: /a, guest: /b}, {host: /c, guest: /b}]", "'/b' is there twice"),
        ("volumes: /data", "volumes has to be a list"),
        ("sockets: [db:5432]", "'db:5432' is no place on a network; write tcp://"),
        ("sockets: tcp://db:5432", "sockets has to be a list"),
        ("sockets: [" + "tcp://a:1," * 65 + "]", "sockets has more than 64 places"),
    ],
)
def test_a_mistake_is_said_with_its_line(properties: str, message: str) -> None:
    with pytest.raises(errors.ManifestError, match=message) as caught:
        application(f"        {properties}\n")
    assert caught.value.line == 11


def test_surroundings_are_written_and_read_again() -> None:
    found = application("""
        environment: {A: "1"}
        entrypoint: answer
        volumes: [{host: /a, guest: /b, writable: true}, {host: /c, guest: /d}]
        sockets: ["tcp://db.internal:5432", "udp://10.0.0.0/8:*"]
""")
    assert found.components[0].surroundings.sockets == ("tcp://db.internal:5432", "udp://10.0.0.0/8:*")
    again = manifest.parse(to_text(found), file="", folder=Path("/"), providers=PROVIDERS)
    assert again.components[0].surroundings == found.components[0].surroundings


# modules.toml


ONE = '[[module]]\nmodule = "a.wasm"\nroute = "/"\n'


def modules(text: str, folder: Path = FOLDER) -> manifest.Application:
    return parse_modules(text, file="modules.toml", folder=folder)


def routes(found: manifest.Application) -> list[tuple[str, dict[str, str]]]:
    assert all(link.source_config["client"] == "true" for link in found.links)
    return [(link.target, {**link.source_config, "client": ""}) for link in found.links]


def test_modules_become_an_application_with_one_http_server() -> None:
    found = modules("""
[[module]]
module = "hello.wasm"
route = "/"

[[module]]
module = "file:static/fileserver.wasm"
route = "/static/..."
host = "www.example.org"
entrypoint = "serve"
environment = { COLOR = "blue" }
volumes = { "/" = "static", "/tmp" = { path = "/var/tmp", writable = true } }
allowed_hosts = []
http_max_concurrency = 4
""")
    assert found.name == "app"
    assert [component.name for component in found.components] == ["hello", "fileserver", "http"]
    assert routes(found) == [
        ("hello", {"path": "=/", "client": ""}),
        ("fileserver", {"path": "/static", "host": "www.example.org", "client": ""}),
    ]
    served = found.component("fileserver")
    assert served.image.path == FOLDER / "static" / "fileserver.wasm"
    assert served.surroundings == Surroundings(
        environment={"COLOR": "blue"},
        entrypoint="serve",
        volumes=(
            Volume(host="/srv/app/static", guest="/"),
            Volume(host="/var/tmp", guest="/tmp", writable=True),
        ),
    )


def test_a_module_at_two_routes_is_one_actor() -> None:
    found = modules("""
address = "127.0.0.1:3000"
[[module]]
module = "a.wasm"
route = "/one"
[[module]]
module = "a.wasm"
route = "/two/..."
[[module]]
module = "a.wasm"
route = "/three"
environment.LANGUAGE = "en"
""")
    assert [component.name for component in found.components] == ["a", "a-2", "http"]
    assert routes(found) == [
        ("a", {"path": "=/one", "client": ""}),
        ("a", {"path": "/two", "client": ""}),
        ("a-2", {"path": "=/three", "client": ""}),
    ]
    assert len({link.name for link in found.links}) == 3
    assert found.component("http").config == {"address": "127.0.0.1:3000"}


def test_a_module_in_a_registry_is_named_as_such() -> None:
    found = modules('[[module]]\nmodule = "oci:registry.example/app:1.0"\nroute = "/"\n')
    image = found.components[0].image
    assert (image.kind, image.name) == ("oci", "registry.example/app:1.0")


def test_a_module_with_routes_of_its_own_gets_all_below(tmp_path: Path) -> None:
    shutil.copy(PROBE, tmp_path / "probe.wasm")
    shutil.copy(HELLO, tmp_path / "hello.wasm")
    found = modules(
        '[[module]]\nmodule = "probe.wasm"\nroute = "/p"\n[[module]]\nmodule = "hello.wasm"\nroute = "/h"\n', tmp_path
    )
    assert [link.source_config["path"] for link in found.links] == ["/p", "=/h"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, r"there is no \[\[module\]\]"),
        ("module = 5", 1, "modules are written as"),
        ('[[module]]\nroute = "/"\n', 1, "no 'module'"),
        ('[[module]]\nmodule = "a.wasm"\n', 1, "route '' is no path"),
        ('[[module]]\nmodule = "a.wasm"\n\nroute = "a"\n', 4, "is no path"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/a/.../b"\n', 3, "is no path"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\nbindle = "x/1"\n', 4, "bindles are not supported"),
        ('[[module]]\nmodule = "parcel:x/1"\nroute = "/"\n', 2, "bindles are not supported"),
        ('[[module]]\nmodule = "https://a/b.wasm"\nroute = "/"\n', 2, "neither a file nor in a registry"),
        ('bindle_server = "http://a"\n[[module]]\nmodule = "a.wasm"\nroute = "/"\n', 1, "'bindle_server' is not known"),
        (ONE + '\n[[module]]\nmodule = "b.wasm"\nroute = "/b"\nallowed_hosts = ["http://a"]', 8, "allowed_hosts"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\nhttp_max_concurrency = 0\n', 4, "a number from 1"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\nvolume = 1\n', 4, "a module has no key 'volume'"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\n[module.volumes]\n"/a" = 1\n', 4, "is no folder"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\nenvironment = {A = 1}\n', 4, "a text in quotes"),
        ('[[module]]\nmodule = "a.wasm"\nroute = "/"\nentrypoint = ""\nhost = 1\n', 5, "a text in quotes"),
        ('[[module]]\nmodule = "a.wasm"\nroute = \n', 3, "not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_modules_names_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(errors.ManifestError, match=message) as caught:
        modules(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"modules.toml:{line}:")


def test_all_mistakes_are_found_at_once() -> None:
    with pytest.raises(errors.ManifestError) as caught:
        modules('default_host = "a"\n[[module]]\nmodule = 1\nroute = "x"\nfoo = 1\n')
    assert [error.line for error in (caught.value, *caught.value.others)] == [1, 3, 4, 5]


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "modules.toml"
    path.write_text('[[module]]\nmodule = "none.wasm"\nroute = "/"\n')
    with pytest.raises(errors.ManifestError, match="there is no file"):
        manifest.load(path, PROVIDERS)


def test_modules_are_deployed_to_a_lattice_as_a_manifest(tmp_path: Path) -> None:
    shutil.copy(HELLO, tmp_path / "hello.wasm")
    path = tmp_path / "modules.toml"
    path.write_text('[[module]]\nmodule = "hello.wasm"\nroute = "/h/..."\nvolumes = {"/d" = "d"}\n')
    found = manifest.load(path, PROVIDERS)
    again = manifest.parse(to_text(found), file="", folder=Path("/"), providers=PROVIDERS)
    assert again.component("hello").surroundings == found.component("hello").surroundings
    assert routes(again) == routes(found)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=8), st.sampled_from(["/", "/a", "/a/...", "a.wasm"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["module", "route", "host", "entrypoint", "environment", "volumes", "allowed_hosts", "http_max_concurrency", "x"]
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3))
def test_any_modules_are_read_or_refused(entries: list[dict[str, Any]]) -> None:
    lines = []
    for entry in entries:
        lines += ["[[module]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
    try:
        found = modules("\n".join(lines))
    except errors.ManifestError:
        return
    assert len(found.links) == len(entries)


@given(st.text(max_size=100))
def test_any_text_is_modules_or_a_mistake(text: str) -> None:
    with contextlib.suppress(errors.ManifestError):
        modules(text)
