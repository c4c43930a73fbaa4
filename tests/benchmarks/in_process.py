"""Measurements inside one process: `in_process.py calls|cold|suspended|import|up|verify`. Prints one row as JSON.

`calls`: a waPC call with one host call that does not wait, against an extism plug-in call that makes none, same
payload, alternating; medians of rounds. `cold`: an actor from the compiled cache to its first answer, beyond a
warm call. `suspended`: resident memory with 10,000 calls asleep. `import` and `up`: wall time of new processes.
`verify`: a signed module of 2 MB, from its bytes to verified claims.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

PAYLOAD = b"x" * 100
ROUNDS = 9
CALLS = 3000

EXTISM_GUEST = """(module
  (import "extism:host/env" "input_offset" (func $input (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (memory (export "memory") 1)
  (func (export "run") (result i32)
    (call $output (call $input) (call $length (call $input)))
    (i32.const 0)))"""


def calls() -> dict[str, Any]:
    import extism
    import wasmtime

    from tests.support.hosts import answer_with_payload, guest_host

    plugin = extism.Plugin(bytes(wasmtime.wat2wasm(EXTISM_GUEST)))
    assert bytes(plugin.call("run", PAYLOAD)) == PAYLOAD

    async def measure() -> tuple[list[float], list[float]]:
        ours: list[float] = []
        theirs: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            async with guest_host(Path(folder)) as guests:
                guests.offer(answer_with_payload, "host_call_once")
                await guests.start("host_call_once")
                for round_ in range(ROUNDS + 1):
                    began = time.perf_counter()
                    for _ in range(CALLS):
                        await guests.call("host_call_once", PAYLOAD)
                    middle = time.perf_counter()
                    for _ in range(CALLS):
                        plugin.call("run", PAYLOAD)
                    ended = time.perf_counter()
                    if round_:
                        ours.append((middle - began) / CALLS * 1e6)
                        theirs.append((ended - middle) / CALLS * 1e6)
        return ours, theirs

    ours, theirs = asyncio.run(measure())
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "what": "waPC call with a host call / extism call without",
        "value": f"{ratio:.2f} x ({statistics.median(ours):.1f} us / {statistics.median(theirs):.1f} us)",
        "at most": "0.7 x",
        "held": ratio <= 0.7,
    }


def cold() -> dict[str, Any]:
    from lattice.actors import ActorSpec
    from tests.support.hosts import guest_host

    async def measure() -> tuple[list[float], list[float]]:
        cold_ms: list[float] = []
        warm_ms: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "cache"
            async with guest_host(Path(folder), cache=cache) as guests:
                image = ROOT / "actors/echo/echo.wasm"
                spec = ActorSpec(key="echo", name="echo", image=image, application="bench")
                await guests.host.actors.start(spec)
                await guests.host.actors.stop("echo")
                for _ in range(50):
                    began = time.perf_counter()
                    actor = await guests.host.actors.start(spec)
                    assert actor.revision.from_cache
                    assert await guests.call("echo", PAYLOAD) == PAYLOAD
                    first = time.perf_counter()
                    await guests.call("echo", PAYLOAD)
                    second = time.perf_counter()
                    cold_ms.append((first - began) * 1e3)
                    warm_ms.append((second - first) * 1e3)
                    await guests.host.actors.stop(actor.key)
        return cold_ms, warm_ms

    cold_ms, warm_ms = asyncio.run(measure())
    beyond = statistics.median(cold_ms) - statistics.median(warm_ms)
    return {
        "what": "cold start from the compiled cache, beyond a warm call",
        "value": f"{beyond:.3f} ms",
        "at most": "0.1 ms",
        "held": beyond <= 0.1,
    }


def suspended() -> dict[str, Any]:
    from lattice.invocation import Invocation
    from tests.support.hosts import guest_host

    count = 10_000

    async def measure() -> float:
        gate = asyncio.Event()
        asleep = 0

        async def provider(invocation: Invocation) -> bytes:
            nonlocal asleep
            asleep += 1
            await gate.wait()
            return invocation.payload

        with tempfile.TemporaryDirectory() as folder:
            async with guest_host(Path(folder)) as guests:
                guests.offer(provider, "host_call_once")
                await guests.start("host_call_once", instances_max=count, time_s_max=120)
                waiting = [
                    asyncio.create_task(guests.call("host_call_once", PAYLOAD, timeout_s=120)) for _ in range(count)
                ]
                while asleep < count:
                    await asyncio.sleep(0.05)
                with open("/proc/self/statm") as file:
                    megabytes = int(file.read().split()[1]) * resource.getpagesize() / 1e6
                gate.set()
                await asyncio.gather(*waiting)
        return megabytes

    megabytes = asyncio.run(measure())
    return {
        "what": "10,000 suspended calls, resident",
        "value": f"{megabytes:.0f} MB",
        "at most": "300 MB",
        "held": megabytes <= 300,
    }


def import_lattice() -> dict[str, Any]:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import lattice"], check=True)
        times.append(time.perf_counter() - began)
    seconds = statistics.median(times)
    return {
        "what": "import lattice, the interpreter's own start included",
        "value": f"{seconds:.2f} s",
        "at most": "0.2 s",
        "held": seconds <= 0.2,
    }


def up() -> dict[str, Any]:
    """`lattice up` of the demo with everything cached, until its first answer."""
    times = []
    manifest = ROOT / "actors/demo/app.yaml"
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(6):
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "lattice", "up", str(manifest), "--data", folder],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                while True:
                    try:
                        with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=5):
                            break
                    except OSError as error:
                        if process.poll() is not None or time.perf_counter() - began > 30:
                            raise SystemExit(f"lattice up did not answer: {error}") from error
                        time.sleep(0.005)
                if round_:
                    times.append(time.perf_counter() - began)
            finally:
                process.terminate()
                process.wait(timeout=20)
    seconds = statistics.median(times)
    return {
        "what": "lattice up (demo, cached) to the first answer",
        "value": f"{seconds:.2f} s",
        "at most": "1.0 s",
        "held": seconds <= 1.0,
    }


def verify() -> dict[str, Any]:
    from lattice import wasmfile
    from lattice.security import admission
    from lattice.security.keys import generate
    from lattice.security.settings import ActorTrust
    from lattice.security.signing import Wish, sign

    issuer = generate("account")
    trust = ActorTrust(issuers=frozenset({issuer.public}))
    guest = (ROOT / "actors/counter/counter.wasm").read_bytes()
    size = 2 * 1024 * 1024
    body = b"\4data" + bytes(range(256)) * (size // 256)
    length = bytes([*(len(body) >> shift & 0x7F | 0x80 for shift in (0, 7, 14)), len(body) >> 21])
    module = sign(guest + b"\0" + length + body, Wish(subject=generate("actor").public, name="large"), issuer)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        claims = admission.admit(module, wasmfile.describe(module), trust, time.time())
        times.append((time.perf_counter() - began) * 1000)
        assert claims is not None
    milliseconds = statistics.median(times)
    return {
        "what": "verification of a signed module of 2 MB",
        "value": f"{milliseconds:.2f} ms",
        "at most": "10 ms",
        "held": milliseconds <= 10,
    }


if __name__ == "__main__":
    measurements = {
        "calls": calls,
        "cold": cold,
        "suspended": suspended,
        "import": import_lattice,
        "up": up,
        "verify": verify,
    }
    print(json.dumps(measurements[sys.argv[1]]()))
