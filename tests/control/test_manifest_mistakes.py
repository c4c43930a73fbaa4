"""Every mistake in a manifest is found, named and placed, all at once."""

# ruff: noqa: E501 - one case a line: a table is easier to read and to add to

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lattice import errors
from lattice.control.manifest import load, parse
from lattice.control.settings_check import check_application
from lattice.supervisor import Installed
from tests.control.manifests import ACTOR, HELLO, actor_with, app, linked, mistakes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (app("{name: one, tipe: actor, properties: {image: file://x}}"), ["6:19 a component has no key 'tipe' | did you mean 'type'?", "6:7 a component has no 'type'"]),
        (app("{name: one, type: acter, properties: {image: file://x}}"), ["6:25 component type 'acter' is unknown | did you mean 'actor'?"]),
        (app("{name: one, type: actor, properties: {}}"), ["6:44 properties has no 'image'"]),
        (app("{name: one, type: actor}"), ["6:7 properties is missing"]),
        (app("{name: one, type: actor, properties: }"), ["6:43 properties is missing"]),
        (app("{name: '', type: actor, properties: {image: file://x}}"), ["6:14 a component's name is empty"]),
        (app("{name: a.b, type: actor, properties: {image: file://x}}"), ["6:14 a component's name 'a.b' cannot be a name"]),
        (app(ACTOR, ACTOR), ["7:7 name 'one' is taken; the component in line 6 has it"]),
        (app("{name: kv, type: capability, properties: {image: builtin://keyvalu-sqlite}}"), ["6:56 there is no provider 'keyvalu-sqlite' | did you mean 'keyvalue-sqlite'?"]),
        (app("{name: one, type: actor, properties: {image: builtin://cron}}"), ["builtin:// names a provider and this is an actor"]),
        (app("{name: one, type: actor, properties: {image: ./one.wasm}}"), ["looks like a file | write file://./one.wasm"]),
        (app("{name: one, type: actor, properties: {image: 'what ever'}}"), ["is none that is known here"]),
        (actor_with("limits: {memry: 1MB}"), ["limits has no key 'memry' | did you mean 'memory'?"]),
        (actor_with("limits: {memory: lots}"), ["memory: 'lots' is not a number with a unit"]),
        (actor_with("limits: {memory: 5 parsec}"), ["is not a number with a unit"]),
        (actor_with("limits: {memory: 1}"), ["memory has to be from 65536 to 4294967296 bytes"]),
        (actor_with("limits: {time: 0}"), ["time has to be from 0.001"]),
        (actor_with("limits: {time: 5 MB}"), ["no unit of time"]),
        (actor_with("limits: {instances: 0}"), ["instances has to be a whole number from 1"]),
        (actor_with("limits: {isolation: full}"), ["isolation 'full' is unknown"]),
        (actor_with("config: [{name: c}]"), ["config 'c' is not defined in this manifest"]),
        (actor_with("config: [{name: c, properties: {a: 1}}, {name: c, properties: {b: 1}}]"), ["config 'c' is defined a second time; the first is in line 6"]),
        (actor_with("config: {a: [1]}"), ["config: a has to be a single value"]),
        (actor_with("config: {a: }"), ["config: a has no value"]),
        (actor_with("id: x, id: y"), ["'id' is here a second time; the first is in line 6"]),
        (actor_with("contract: x"), ["properties has no key 'contract'"]),
        (linked("{target: kw}"), ["no component is called 'kw', and so this link would lead nowhere | did you mean 'kv'?"]),
        (linked("{}"), ["a link has no 'target'"]),
        (linked("{target: {config: []}}"), ["a link's target has no 'name'"]),
        (linked("{target: http}"), ["'http' calls actors and is not called by them | put the link on 'http', with the target 'one'"]),
        (linked("{target: kv, namespace: wasi, package: keyval}"), ["no contract serves wasi:keyval | did you mean 'keyvalue'?"]),
        (linked("{target: kv, namespace: wasi, package: keyvalue, interfaces: [stor]}"), ["wasi:keyvalue has no interface 'stor' | did you mean 'store'?"]),
        (linked("{target: kv, namespace: wasi, package: http, interfaces: [outgoing-handler]}"), ["the link is for wasmcloud:httpclient and 'kv' provides wasmcloud:keyvalue"]),
        (linked("{target: kv, namespace: wasi, package: http, interfaces: [outgoing-handler, incoming-handler]}"), ["these interfaces belong to different contracts"]),
        (linked("{target: kv, contract: 'demo:shop/prices'}"), ["the link is for demo:shop/prices and 'kv' provides wasmcloud:keyvalue"]),
        (linked("{target: two, contract: 'wasmcloud:keyvalue'}", "{name: two, type: actor, properties: {image: file://x}}"), ["wasmcloud:keyvalue is between an actor and a provider, and 'two' is an actor | link it with a component of the type capability"]),
        (linked("{target: two, namespace: wasi, package: http, interfaces: [incoming-handler]}", "{name: two, type: actor, properties: {image: file://x}}"), ["wasmcloud:httpserver is between an actor and a provider, and 'two' is an actor"]),
        (app("{name: p, type: capability, properties: {image: reg.example/p:1, contract: 'demo:shop/prices'}, traits: [{type: link, properties: {target: one}}]}", ACTOR), ["contract 'demo:shop/prices' is unknown | no provider answers it; where an actor exports demo:shop/prices, that actor is the link's target"]),
        (linked("{target: kv, namespace: wasi}"), ["a link with this has to have a 'package' too"]),
        (linked("{target: kv, target_config: {a: 1}, values: {a: 1}}"), ["a link has both target_config and values"]),
        (app("{name: h, type: capability, properties: {image: builtin://http-server}, traits: [{type: link, properties: {target: k}}]}", "{name: k, type: capability, properties: {image: builtin://keyvalue-sqlite}}"), ["'h' and 'k' are both providers"]),
        (app("{name: k, type: capability, properties: {image: builtin://keyvalue-sqlite}, traits: [{type: link, properties: {target: one}}]}", ACTOR), ["'k' is called by actors and calls none"]),
        (app("{name: one, type: actor, properties: {image: file://x}, traits: [{type: spreadscalar}]}"), ["trait type 'spreadscalar' is unknown | did you mean 'spreadscaler'?"]),
        (app("{name: one, type: actor, properties: {image: file://x}, traits: [{type: link}]}"), ["a link is missing"]),
        (app("{name: one, type: actor, properties: {image: file://x}, traits: [{type: spreadscaler, properties: {instances: -1}}, {type: daemonscaler}]}"), ["instances has to be a whole number from 0", "a second scaler"]),
        (app("{name: p, type: capability, properties: {image: reg.example/p:1, contract: x:y}, traits: [{type: link, properties: {target: one}}]}", ACTOR), ["contract 'x:y' is unknown | known here: lattice:cron"]),
        (app("{name: p, type: capability, properties: {image: reg.example/p:1}, traits: [{type: link, properties: {target: one}}]}", ACTOR), ["a link names no contract"]),
        ("kind: Application", ["1:1 metadata is missing", "apiVersion", "spec is missing"]),
        (HELLO.replace("v1beta1", "v2"), ["1:13 apiVersion 'core.oam.dev/v2' is not known here | write core.oam.dev/v1beta1"]),
        (HELLO + "  policies: {}\n", ["policies has to be a list"]),
        (app().replace("components:", "components: []"), ["an application has at least one component"]),
        ("", ["0:0 the file is empty"]),
        ("[1, 2", ["not YAML"]),
        ("a: !!python/object:os.system x", ["tags are not read here"]),
        ("a: 1\n---\nb: 2\n", ["2:1 a second document begins here"]),
        ("a: *b", ["no anchor &b"]),
        ("&a [*a]", ["no anchor &a ends before this alias"]),
        ("[" * 40, ["nested deeper than"]),
        ("a: \x00", ["not YAML"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, found: list[str]) -> None:
    reported = mistakes(text)
    for expected in found:
        assert any(expected in one for one in reported), reported
    if len(found) == 1:
        assert len(reported) == 1, reported


def test_a_second_link_with_the_same_name_is_a_mistake() -> None:
    link = "{type: link, properties: {target: kv, name: main}}"
    text = app(
        f"{{name: one, type: actor, properties: {{image: file://x}}, traits: [{link}, {link}]}}",
        "{name: kv, type: capability, properties: {image: builtin://keyvalue-sqlite}}",
    )
    (found,) = mistakes(text)
    assert "has a second link for wasmcloud:keyvalue under the link name 'main'" in found


def test_all_mistakes_are_reported_at_once_in_file_order() -> None:
    text = HELLO.replace("type: actor", "type: acter").replace("32MiB", "much").replace("target: store", "target: shop")
    lines = [int(one.split(":")[0]) for one in mistakes(text)]
    assert lines == sorted(lines)
    assert len(lines) == 3


def test_no_more_than_twenty_mistakes_are_reported() -> None:
    reported = mistakes(app(*(f"{{name: n{number}}}" for number in range(50))))
    assert len(reported) == 21
    assert reported[-1] == "0:0 and 80 more mistakes"


def test_an_image_that_is_not_there_is_a_mistake() -> None:
    (found,) = mistakes(app(ACTOR), exists=lambda path: False)
    assert "there is no file /srv/app/one.wasm" in found


def test_aliases_of_aliases_end_at_a_limit() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 12):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    (found,) = mistakes(bomb)
    assert "once aliases are expanded" in found


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("file://text.wasm", "text.wasm: the file does not begin with the WebAssembly magic number"),
        ("file://nothing.wasm", "nothing.wasm: it exports neither __guest_call (waPC) nor _start (WASI)"),
        ("registry.example/x/y", "has neither tag nor digest"),
    ],
)
def test_an_image_that_cannot_run_is_found_before_anything_starts(tmp_path: Path, image: str, said: str) -> None:
    (tmp_path / "text.wasm").write_text("not this")
    (tmp_path / "nothing.wasm").write_bytes(b"\0asm\x01\0\0\0")
    manifest = tmp_path / "app.yaml"
    manifest.write_text(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: app}\nspec:\n  components:\n"
        f"    - name: actor\n      type: component\n      properties: {{image: '{image}'}}\n"
    )
    installed = Installed()
    with pytest.raises(errors.ManifestError, match=re.escape(said)) as caught:
        check_application(load(manifest, installed), installed.type)
    assert caught.value.line == 6


def test_a_provider_whose_library_is_missing_is_the_only_mistake() -> None:
    """What a link to it is for is only known by it: nothing has to be added to the link."""

    class Missing(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            raise errors.ConfigError(f"the provider {name} needs a library that is not installed")

    text = app(
        "{name: one, type: actor, properties: {image: file://x}, traits: [{type: link, properties: {target: kv}}]}",
        "{name: kv, type: capability, properties: {image: builtin://keyvalue-redis}}",
    )
    with pytest.raises(errors.ManifestError) as caught:
        parse(text, file="app.yaml", folder=Path("/"), providers=Missing({"keyvalue-redis": ""}))
    assert "needs a library" in str(caught.value)
    assert not caught.value.others
