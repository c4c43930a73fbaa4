"""A host with one HTTP actor, for the benchmarks: `serve_actor.py PORT ACTOR [instance|call]`, runs until it is ended.

ACTOR is a folder of actors/. It is linked to the HTTP server and to the embedded key-value store.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from lattice.config import default_cache
from lattice.control.manifest import parse
from lattice.host import Host, HostSettings

ACTORS = Path(__file__).parent.parent.parent / "actors"

MANIFEST = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: bench}}
spec:
  components:
    - name: http
      type: capability
      properties: {{image: builtin://http-server}}
      traits:
        - type: link
          properties:
            target: actor
            namespace: wasmcloud
            package: httpserver
            source_config: [{{name: place, properties: {{address: "127.0.0.1:{port}"}}}}]
    - name: keyvalue
      type: capability
      properties: {{image: builtin://keyvalue-sqlite}}
    - name: actor
      type: component
      properties: {{image: "file://{actor}", limits: {{isolation: {isolation}}}}}
      traits:
        - type: link
          properties: {{target: keyvalue, namespace: wasmcloud, package: keyvalue}}
"""


async def main(port: int, actor: str, isolation: str) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    with tempfile.TemporaryDirectory() as data:
        async with Host(HostSettings(data=Path(data), cache=default_cache())) as host:
            text = MANIFEST.format(port=port, actor=ACTORS / actor / f"{actor}.wasm", isolation=isolation)
            await host.deploy(parse(text, file="bench", folder=Path(data), providers=host.installed))
            print("ready", flush=True)
            await stop.wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "instance"))
