"""`make demo`: starts the demo application, uses it as a visitor would, and leaves it running.

    python scripts/demo.py [--once] [--manifest actors/demo/app.yaml]

`--once` ends it after the visit; the exit code says whether every step went as it should.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST, PORT = "127.0.0.1", 8080
START_S_MAX = 60.0
"""The first start compiles the actors, on a slow machine for some seconds."""
STOP_S_MAX = 40.0


def refuse_a_port_in_use() -> None:
    """Whoever answers there already would be taken for the demo."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, PORT)) == 0:
            raise SystemExit(f"port {PORT} is in use: end what listens there (another demo?), then run this again")


def request(method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, PORT, timeout=10)
    try:
        connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def wait_until_up(host: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if host.poll() is not None:
            raise SystemExit(host.returncode or 1)
        try:
            request("GET", "/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the demo did not answer within {START_S_MAX:.0f} s")


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: expected {wanted!r}, got {found!r}")


def visit() -> None:
    """Makes a link, follows it, and reads its count: five capabilities, three actors."""
    address = "https://example.org/a/long/address"
    status, _, body = request("POST", "/links", json.dumps({"url": address}).encode())
    expect("POST /links", status, 201)
    code = json.loads(body)["code"]
    print(f"\n  POST /links        201  {body.decode().strip()}")
    status, headers, _ = request("GET", f"/{code}")
    expect(f"GET /{code}", (status, headers.get("location")), (302, address))
    print(f"  GET  /{code}       302  location: {address}")
    deadline = time.monotonic() + 5
    while True:
        status, _, body = request("GET", f"/links/{code}")
        if json.loads(body).get("clicks") == 1 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    expect(f"GET /links/{code}", (status, json.loads(body).get("clicks")), (200, 1))
    print(f"  GET  /links/{code} 200  {body.decode().strip()}")
    while True:
        # The timer writes the first report a moment after the start.
        status, headers, body = request("GET", "/report")
        if status == 200 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    expect("GET /report", (status, headers.get("content-type", "").partition(";")[0]), (200, "text/html"))
    print(f"  GET  /report        200  {len(body)} bytes of HTML, written by a timer into the blob store")
    status, _, body = request("POST", "/links", b'{"url":"not an address"}')
    expect("POST /links with nonsense", status, 400)
    print(f"  POST /links        400  {body.decode().strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="end after the visit")
    parser.add_argument("--manifest", type=Path, default=ROOT / "actors/demo/app.yaml")
    options = parser.parse_args()
    command = [sys.executable, "-m", "lattice", "up", str(options.manifest)]
    with tempfile.TemporaryDirectory() as scratch:
        if options.once:
            command += ["--data", scratch]
        refuse_a_port_in_use()
        host = subprocess.Popen(command)
        # Ctrl-C reaches the host too; it drains, and this waits for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: host.terminate())
        try:
            wait_until_up(host)
            visit()
            if options.once:
                host.terminate()
            else:
                print(f"\n  open http://{HOST}:{PORT}/ in a browser; Ctrl-C ends the demo\n", flush=True)
                host.wait()
            host.wait(timeout=STOP_S_MAX)
        finally:
            if host.poll() is None:
                host.terminate()
                host.wait(timeout=STOP_S_MAX)
    raise SystemExit(host.returncode)


if __name__ == "__main__":
    main()
