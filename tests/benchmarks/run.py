"""The figures this project promises, measured in one run: `make bench`.

    python tests/benchmarks/run.py [--seconds 4] [--rounds 3] [--only http,calls,...] [-o json]

Servers run on one core and the load (wrk, 32 connections) comes from another; competitors take turns with ours in each
round, so that a noisy minute hits all of them, and only ratios within the run are compared. What is missing here
(wrk, workerd, extism, aiohttp) leaves its row out with the reason.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from tests.benchmarks import http_front_ends as front_ends  # noqa: E402  # needs the path above

Row = dict[str, Any]

COMPILED_S_MAX = 180.0
"""Until a server answers: the first time, a component with an interpreter in it is compiled."""

WORKERD_CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")]
);
const hello :Workerd.Worker = (
  serviceWorkerScript = "addEventListener('fetch', e => e.respondWith(new Response('hello')))",
  compatibilityDate = "2024-01-01"
);
"""


MISSING = {
    "workerd hello": "workerd is not installed (npm install workerd)",
    "hello in JavaScript": "it is not built (python scripts/build_large_actors.py hello-js)",
    "by the engine's bindings": "hello-js is not built (python scripts/build_large_actors.py hello-js)",
}


def workerd() -> str | None:
    """The real binary behind the npm package, or None."""
    for folder in (ROOT / "actors/node_modules", Path(os.environ.get("LATTICE_BENCH_NODE_MODULES", "/nowhere"))):
        for found in folder.glob("@cloudflare/workerd-linux-*/bin/workerd"):
            return str(found)
    return shutil.which("workerd")


def server_commands(folder: Path) -> dict[str, Callable[[int], list[str]]]:
    def python(script: str, *arguments: str) -> list[str]:
        return [sys.executable, str(HERE / script), *arguments]

    def run_workerd(port: int) -> list[str]:
        config = folder / "workerd.capnp"
        config.write_text(WORKERD_CONFIG.format(port=port))
        return [workerd() or "", "serve", str(config)]

    commands: dict[str, Callable[[int], list[str]]] = {
        "aiohttp hello": lambda port: python(
            "http_front_ends.py", "--serve", "aiohttp-application", "--port", str(port)
        ),
        "echo actor": lambda port: python("serve_actor.py", str(port), "echo"),
        "echo actor, fresh instances": lambda port: python("serve_actor.py", str(port), "echo", "call"),
        "counter actor, key-value": lambda port: python("serve_actor.py", str(port), "counter"),
        "WAGI hello": lambda port: python("serve_actor.py", str(port), "hello-wagi"),
        "component hello": lambda port: python("serve_actor.py", str(port), "hello-component"),
    }
    if (ROOT / "actors/hello-js/hello-js.wasm").exists():
        commands["hello in JavaScript"] = lambda port: python("serve_actor.py", str(port), "hello-js")
        commands["by the engine's bindings"] = lambda port: python("stock_component.py", str(port), "hello-js")
    if workerd():
        commands["workerd hello"] = run_workerd
    return commands


def bench_http(seconds: float, rounds: int) -> list[Row]:
    if shutil.which("wrk") is None:
        return [{"what": "HTTP", "skipped": "wrk is not on the PATH (apt-get install wrk)"}]
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = server_commands(Path(folder))
        for _ in range(rounds):
            for name, command in commands.items():
                rates.setdefault(name, []).append(measure_server(command, seconds))
    rate = {name: statistics.median(each) for name, each in rates.items()}
    rows: list[Row] = [{"what": name, "value": f"{value:,.0f} requests/s"} for name, value in rate.items()]
    for name, other, factor in (
        ("echo actor", "aiohttp hello", 1.4),
        ("echo actor", "workerd hello", 1.8),
        ("echo actor, fresh instances", "aiohttp hello", 0.9),
        ("counter actor, key-value", "echo actor", 0.6),
        ("component hello", "echo actor, fresh instances", 0.5),
        ("hello in JavaScript", "by the engine's bindings", 3),
        ("hello in JavaScript", "aiohttp hello", 0.033),
    ):
        what = f"{name} / {other}"
        if missing := [MISSING[one] for one in (name, other) if one not in rate]:
            rows.append({"what": what, "skipped": missing[0]})
            continue
        pairs = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
        ratio = statistics.median(pairs)
        rows.append(
            {
                "what": what,
                "value": f"{ratio:.2f} x" if factor >= 0.1 else f"{ratio:.3f} x",
                "at least": f"{factor} x",
                "held": ratio >= factor,
                "rounds": [round(pair, 3) for pair in pairs],
            }
        )
    each_ms = 1000 / rate["WAGI hello"]
    rows.append(
        {
            "what": "WAGI hello over HTTP, a fresh instance for each request",
            "value": f"{each_ms:.3f} ms",
            "at most": "1 ms",
            "held": each_ms <= 1,
            "rounds": [round(1000 / each, 3) for each in rates["WAGI hello"]],
        }
    )
    return rows


def measure_server(command: Callable[[int], list[str]], seconds: float) -> float:
    port = front_ends.free_port()
    server = subprocess.Popen(front_ends.pinned(command(port), min(os.sched_getaffinity(0))), stdout=subprocess.DEVNULL)
    try:
        front_ends.wait_until_open(port, server, COMPILED_S_MAX)
        front_ends.load(port, 1, 1)
        return front_ends.load(port, seconds, 1)[0]
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=10)


def in_process(name: str) -> Row:
    """Runs one measurement of in_process.py in a process of its own, on one core."""
    command = [sys.executable, str(HERE / "in_process.py"), name]
    done = subprocess.run(
        front_ends.pinned(command, min(os.sched_getaffinity(0))), capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def bench_calls() -> list[Row]:
    if importlib.util.find_spec("extism") is None:
        return [{"what": "waPC call / extism call", "skipped": "extism is not installed (pip install extism)"}]
    return [in_process("calls")]


def bench_lattice() -> list[Row]:
    """Hosts are processes of their own here, which share the cores."""
    scripts = [("lattice_calls.py", name) for name in ("calls", "signed", "payload", "idle")]
    return in_scripts(*scripts, ("lattice_scale.py", "10", "200", "2000", "50", "1000", "10000"))


def in_scripts(*scripts: tuple[str, ...]) -> list[Row]:
    """The rows that scripts print."""
    rows: list[Row] = []
    for script, *arguments in scripts:
        command = [sys.executable, str(HERE / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise SystemExit(f"{script} failed:\n{done.stderr}")
        rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="http,calls,components,cold,suspended,start,verify,lattice")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    options = parser.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "http": lambda: bench_http(options.seconds, options.rounds),
        "calls": bench_calls,
        "components": lambda: in_scripts(("components.py", "first"), ("components.py", "body")),
        "cold": lambda: [in_process("cold")],
        "suspended": lambda: [in_process("suspended")],
        "start": lambda: [in_process("import"), in_process("up")],
        "authority": lambda: in_scripts(("authority.py",)),
        "verify": lambda: [in_process("verify")],
        "lattice": bench_lattice,
    }
    rows: list[Row] = []
    for name in options.only.split(","):
        print(f"measuring {name} ...", file=sys.stderr)
        rows += parts[name]()
    if options.output == "json":
        print(json.dumps(rows))
        return
    print(f"{'what':52} {'measured':>22} {'target':>12}")
    for row in rows:
        if "skipped" in row:
            print(f"{row['what']:52} not measured: {row['skipped']}")
            continue
        held = {True: "held", False: "MISSED", None: ""}[row.get("held")]
        rounds = f"   {row['rounds']}" if "rounds" in row else ""
        print(f"{row['what']:52} {row['value']:>22} {row.get('at least', row.get('at most', '')):>12} {held}{rounds}")


if __name__ == "__main__":
    main()
