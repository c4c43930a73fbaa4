"""One whole drill, as a person runs it: real servers, real hosts, a real kill -9. `.ci/run` runs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_host_is_lost_and_nobody_notices(tmp_path: Path) -> None:
    environment = {**os.environ, "LATTICE_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "lattice", "drill", "lose-host", "--actors", str(ROOT / "actors"), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    failed = [check for check in report["checks"] if not check["kept"]]
    assert not failed, (failed, [entry["examples"] for entry in report["entries"]])
    assert done.returncode == 0
    assert report["sent"] > 1000
    assert report["sent"] == report["answered"]
    assert report["noticed_s"] < report["replaced_s"]
    assert report["acknowledged"] > 100
    assert "kill -9 of west-1" in done.stderr
    assert not list(tmp_path.glob("lattice-drill-*")), "its folder is removed"
