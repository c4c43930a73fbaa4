"""Manifests in one line each, and what reading them reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice import errors
from lattice.control import manifest

PROVIDERS = {
    "http-server": "wasmcloud:httpserver",
    "http-client": "wasmcloud:httpclient",
    "keyvalue-sqlite": "wasmcloud:keyvalue",
    "messaging-memory": "wasmcloud:messaging",
    "cron": "lattice:cron",
}
CONTRACTS = {*PROVIDERS.values(), "wasmcloud:builtin:logging"}

HELLO = """\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
  annotations:
    version: v1.2.0
    description: Says hello
spec:
  components:
    - name: greeter
      type: component
      properties:
        image: file://./greeter.wasm
        id: greeter-1
        alias: demo/greeter
        config:
          - name: shared
            properties: {color: red, port: 8080, ratio: 1.10, on: true}
          - name: own
            properties: {color: blue}
        limits: {memory: 32MiB, time: 500ms, instances: 5, queue: 0, depth: 3, payload: 10 MB, isolation: call}
      traits:
        - type: spreadscaler
          properties:
            instances: 3
            spread:
              - {name: eu, requirements: {zone: eu-1}, weight: 80}
              - name: rest
        - type: link
          properties:
            target: store
            namespace: wasi
            package: keyvalue
            interfaces: [store, atomics]
            target_config:
              - name: bucket
                properties: {path: data.db}
        - type: link
          properties: {target: other, name: peer}
    - name: other
      type: actor
      properties: {image: "registry.example:5000/team/other:0.1.0"}
    - name: http
      type: capability
      properties: {image: builtin://http-server}
      traits:
        - type: daemonscaler
        - type: link
          properties:
            target: {name: greeter, config: [{name: shared}]}
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source:
              config:
                - name: route
                  properties: {address: "127.0.0.1:8080", path: /hello}
    - name: store
      type: capability
      properties: {image: builtin://keyvalue-sqlite}
"""


def parse(text: str, **more: object) -> manifest.Application:
    return manifest.parse(
        text,
        file="m.yaml",
        folder=Path("/srv/app"),
        providers=PROVIDERS,
        contracts=CONTRACTS,
        **more,  # type: ignore[arg-type]
    )


def mistakes(text: str, **more: object) -> list[str]:
    """Every mistake as "line:column message | remedy"."""
    with pytest.raises(errors.ManifestError) as caught:
        parse(text, **more)
    found = [caught.value, *caught.value.others]
    return [f"{one.line}:{one.column} {one.message}" + (f" | {one.remedy}" if one.remedy else "") for one in found]


def app(*components: str) -> str:
    head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a}\nspec:\n  components:\n"
    return head + "".join(f"    - {component}\n" for component in components)


ACTOR = "{name: one, type: actor, properties: {image: file://one.wasm}}"


def actor_with(properties: str) -> str:
    return app(f"{{name: one, type: actor, properties: {{image: file://one.wasm, {properties}}}}}")


def linked(link: str, *more: str, type_: str = "link") -> str:
    return app(
        f"{{name: one, type: actor, properties: {{image: file://one.wasm}}, "
        f"traits: [{{type: {type_}, properties: {link}}}]}}",
        "{name: kv, type: capability, properties: {image: builtin://keyvalue-sqlite}}",
        "{name: http, type: capability, properties: {image: builtin://http-server}}",
        *more,
    )
