# ruff: noqa: E501  # a manifest in one line each, beside what it reports
"""References to secrets in manifests, as wadm writes them: read, kept as references, and every mistake placed."""

from __future__ import annotations

import msgspec
import pytest

from lattice.control.desired import digest
from lattice.control.manifest.writer import to_text
from lattice.control.records import meaning
from lattice.control.state import Desired, Wanted
from lattice.links import Link
from lattice.secretref import SecretRef
from tests.control.manifests import app, mistakes, parse

WADM = """\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: shop}
spec:
  policies:
    - name: nats-kv
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: nats-kv}
    - {name: variables, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {backend: env}}
  components:
    - name: one
      type: component
      properties: {image: file://one.wasm}
      traits:
        - type: link
          properties:
            target:
              name: kv
              config: [{name: own, properties: {table: hits}}]
              secrets:
                - name: path
                  properties: {policy: file, key: db/path}
    - name: kv
      type: capability
      properties:
        image: builtin://keyvalue-sqlite
        secrets:
          - name: path
            properties: {policy: nats-kv, key: kv/path, field: path, version: 3}
          - name: mode
            source: {policy: variables, key: LATTICE_SECRET_MODE}
    - name: http
      type: capability
      properties: {image: builtin://http-server}
      traits:
        - type: link
          properties:
            target: one
            source: {secrets: [{name: address, properties: {policy: bucket, key: address}}]}
"""
PATH = SecretRef(name="path", source="bucket", key="kv/path", field="path", version=3)
MODE = SecretRef(name="mode", source="env", key="LATTICE_SECRET_MODE")
LINK_PATH = SecretRef(name="path", source="file", key="db/path")
ADDRESS = SecretRef(name="address", source="bucket", key="address")


def test_references_are_read_where_wadm_writes_them() -> None:
    shop = parse(WADM)
    assert shop.component("kv").secrets == (PATH, MODE)
    to_kv, to_one = shop.links
    assert (to_kv.source_secrets, to_kv.target_secrets) == ((), (LINK_PATH,))
    assert to_kv.target_config == {"table": "hits"}
    assert (to_one.source_secrets, to_one.target_secrets) == ((ADDRESS,), ())


def test_a_manifest_that_is_written_again_has_the_same_references() -> None:
    shop, again = parse(WADM), parse(to_text(parse(WADM)))
    assert again.component("kv").secrets == shop.component("kv").secrets
    assert [(one.source_secrets, one.target_secrets) for one in again.links] == [
        (one.source_secrets, one.target_secrets) for one in shop.links
    ]


def test_what_a_manifest_means_carries_references_only() -> None:
    wanted, links = meaning(parse(WADM), "v1", {})
    kv = next(one for one in wanted if one.name == "kv")
    assert (kv.config, kv.secrets) == ({}, (PATH, MODE))
    assert [(one.source_secrets, one.target_secrets) for one in links] == [((), (LINK_PATH,)), ((ADDRESS,), ())]
    assert msgspec.json.decode(msgspec.json.encode(links), type=tuple[Link, ...]) == links
    assert [link.configures_source for link in links] == [False, True]


def test_another_reference_is_another_thing_to_run() -> None:
    plain = Wanted(key="kv", name="kv", kind="provider", image="builtin://x")
    secret = msgspec.structs.replace(plain, secrets=(PATH, MODE))
    turned = msgspec.structs.replace(plain, secrets=(MODE, PATH))
    pinned = msgspec.structs.replace(plain, secrets=(msgspec.structs.replace(PATH, version=4), MODE))
    assert secret.fingerprint == turned.fingerprint
    assert len({plain.fingerprint, secret.fingerprint, pinned.fingerprint}) == 3


def test_without_secrets_fingerprints_and_digests_are_those_of_the_version_before() -> None:
    """Otherwise everything would restart while the hosts of a lattice are upgraded one by one."""
    plain = Wanted(key="kv", name="kv", kind="provider", image="builtin://x", config={"a": "b"})
    assert plain.fingerprint == "f65864f606c50dac"
    link = Link("one", "kv", "wasmcloud:keyvalue", target_config={"a": "b"})
    assert digest(Desired(wanted={"kv": plain}, links=(link,))) == "8673f508e7d29a4f"
    secret = msgspec.structs.replace(link, target_secrets=(PATH,))
    assert digest(Desired(wanted={"kv": plain}, links=(secret,))) != "8673f508e7d29a4f"


def test_a_link_does_not_show_its_configuration() -> None:
    link = Link("one", "kv", "wasmcloud:keyvalue", target_config={"url": "redis://:swordfish@kv"})
    assert "swordfish" not in repr(link) + str(link)
    assert repr(link) == "Link(one -> kv (wasmcloud:keyvalue, link name 'default'))"


def provider_with(secrets: str, config: str = "") -> str:
    more = f", config: {config}" if config else ""
    return app(
        f"{{name: kv, type: capability, properties: {{image: builtin://keyvalue-sqlite, secrets: {secrets}{more}}}}}"
    )


def with_policies(policies: str) -> str:
    return provider_with("[{name: a, properties: {policy: mine, key: k}}]") + f"  policies: {policies}\n"


TYPE = "policy.secret.wasmcloud.dev/v1alpha1"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (provider_with("{a: b}"), ["secrets has to be a list"]),
        (provider_with("[{name: a}]"), ["6:93 the properties of the secret 'a' is missing"]),
        (provider_with("[{name: a, properties: {}}]"), ["has no 'policy'", "has no 'key'"]),
        (provider_with("[{properties: {policy: env, key: k}}]"), ["an entry of secrets has no 'name'"]),
        (provider_with("[{name: a, properties: {policy: en, key: k}}]"), ["6:124 policy 'en' is not declared | did you mean 'env'?"]),
        (provider_with("[{name: a, properties: {policy: env, key: k, version: 1}}]"), ["a secret of 'env' has no versions"]),
        (provider_with("[{name: a, properties: {policy: bucket, key: k, version: new}}]"), ["version has to be a whole number from 1"]),
        (provider_with("[{name: a, properties: {policy: bucket, key: k, field: ''}}]"), ["field is empty"]),
        (provider_with("[{name: a, properties: {policy: bucket, key: k, value: x}}]"), ["has no key 'value'"]),
        (provider_with('[{name: a, properties: {policy: file, key: "a\\0b"}}]'), ["none that cannot be seen"]),
        (provider_with("[{name: a, properties: {policy: env, key: k}}, {name: a, properties: {policy: file, key: k}}]"), ["'a' is there twice"]),
        (provider_with("[{name: path, properties: {policy: env, key: k}}]", "{path: x}"), ["6:93 kv: 'path' is in config and a secret: keep one"]),
        (with_policies("[]"), ["policy 'mine' is not declared"]),
        (with_policies(f"[{{name: mine, type: {TYPE}, properties: {{backend: vault}}}}]"), ["no secrets come from 'vault' | known here: bucket, env, file, nats-kv"]),
        (with_policies(f"[{{name: mine, type: {TYPE}, properties: {{backend: env, role: x}}}}]"), ["a policy's properties has no key 'role'"]),
        (with_policies("[{name: mine, type: policy.other/v1, properties: {backend: env}}]"), [f"are not known here | write {TYPE}"]),
        (with_policies(f"[{{name: mine, type: {TYPE}}}]"), ["a policy's properties is missing"]),
        (with_policies(f"[{{type: {TYPE}, properties: {{backend: env}}}}]"), ["policy 'mine' is not declared", "a policy has no 'name'"]),
        (with_policies(f"[{{name: mine, type: {TYPE}, properties: {{backend: env}}}}, {{name: mine, type: {TYPE}, properties: {{backend: env}}}}]"), ["declared a second time; the first is in line 7"]),
        (app("{name: one, type: actor, properties: {image: file://x, secrets: [{name: a, properties: {policy: env, key: k}}]}}"), ["an actor has no way to ask for a secret, so it gets none | give it to the provider"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, found: list[str]) -> None:
    reported = mistakes(text)
    assert len(reported) == len(found), reported
    for expected, said in zip(found, reported, strict=True):
        assert expected in said


def linked(source: str, target: str, config: str = "{}") -> str:
    return app(
        "{name: one, type: actor, properties: {image: file://one.wasm}, traits: [{type: link, properties: "
        f"{{target: {{name: kv, secrets: {target}}}, source: {{secrets: {source}}}, target_config: {config}}}}}]}}",
        "{name: kv, type: capability, properties: {image: builtin://keyvalue-sqlite}}",
    )


SECRET = "[{name: path, properties: {policy: env, key: k}}]"


def test_secrets_of_an_actors_end_are_refused() -> None:
    (said,) = mistakes(linked(SECRET, "[]"))
    assert "'one' is an actor, and an actor gets no secrets | they belong to the provider's end of the link" in said


def test_a_links_value_is_in_config_or_a_secret() -> None:
    (said,) = mistakes(linked("[]", SECRET, "{path: x}"))
    assert "the link's configuration of 'kv': 'path' is in config and a secret: keep one" in said


def test_a_link_that_is_turned_round_keeps_its_secrets_at_the_provider() -> None:
    """The older `linkdef` always leads from the actor; for a provider that only calls, the ends are exchanged."""
    text = app(
        "{name: one, type: actor, properties: {image: file://one.wasm}, traits: [{type: linkdef, properties: "
        f"{{target: {{name: http, secrets: {SECRET}}}}}}}]}}",
        "{name: http, type: capability, properties: {image: builtin://http-server}}",
    )
    (link,) = parse(text).links
    assert (link.source, link.source_secrets[0].name, link.target_secrets) == ("http", "path", ())
