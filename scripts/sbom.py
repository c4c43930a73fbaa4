"""Builds the wheel and writes its bill of materials: every package that it needs at run time, in the locked version,
with the digests that the lock has. CycloneDX JSON, made by cyclonedx-bom in an environment of its own.

    python scripts/sbom.py            # dist/nanolattice-VERSION.cdx.json, beside the wheel
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = "nanolattice"
EXTRA = "all"
TOOLS = ROOT / ".cache" / "sbom"
STEP_S_MAX = 300.0


def needed(project: str, extra: str) -> set[str]:
    """The packages that a project and one of its extras need on this platform, and those that these need."""
    found: set[str] = set()
    pending = [(project, {extra})]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        name, extras = pending.pop()
        if (name, frozenset(extras)) in seen:
            continue
        seen.add((name, frozenset(extras)))
        try:
            lines = requires(name) or []
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is not installed; make .venv/.ready installs it") from error
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": one}) for one in (*extras, "")):
                other = canonicalize_name(requirement.name)
                if other != PROJECT:
                    found.add(other)
                pending.append((other, set(requirement.extras)))
    return found


def locked(text: str) -> dict[str, str]:
    """The entries of a lock file by the names of their packages."""
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    return {canonicalize_name(re.split(r"[=\[ ]", entry, maxsplit=1)[0]): entry for entry in entries if entry.strip()}


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=STEP_S_MAX, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist)
    wheel = max(dist.glob(f"{PROJECT}-*.whl"), key=lambda path: path.stat().st_mtime)
    entries = locked((ROOT / "requirements.lock").read_text())
    names = needed(PROJECT, EXTRA)
    missing = sorted(name for name in names if "--hash=sha256:" not in entries.get(name, ""))
    if missing:
        raise SystemExit(f"requirements.lock has no digest for {', '.join(missing)}: make lock")
    runtime = TOOLS / "runtime.lock"
    if not (TOOLS / "bin" / "cyclonedx-py").exists():
        venv.create(TOOLS, with_pip=True)
        pip = (TOOLS / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "-q", "-r", ROOT / "scripts" / "sbom.lock")
    runtime.write_text("".join(entries[name] for name in sorted(names)))
    made = run(
        TOOLS / "bin" / "cyclonedx-py", "requirements", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible",
        "--of", "JSON", "-o", "-", runtime,
    )  # fmt: skip
    document = json.loads(made)
    whole = hashlib.sha256(wheel.read_bytes()).hexdigest()
    document["metadata"]["component"]["hashes"] = [{"alg": "SHA-256", "content": whole}]
    listed = {canonicalize_name(one["name"]) for one in document["components"]}
    if listed != names:
        raise SystemExit(f"the bill of materials is not complete: {sorted(listed ^ names)}")
    path = dist / f"{wheel.name.split('-py3')[0]}.cdx.json"
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(names)} packages, for {wheel.name} (sha256:{whole[:12]})")


if __name__ == "__main__":
    main()
