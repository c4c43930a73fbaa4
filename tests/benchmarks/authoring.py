"""From `lattice new` to the first answered request, and from a saved file to an answer: `authoring.py [LANGUAGE...]`.

Prints a row of a table for each language whose compiler is here. Each has a folder, keys and compiled code of its own;
what compilers keep elsewhere (standard libraries, packages) is there from a build before, as it is for everybody
from the second day on.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice import errors  # noqa: E402  # needs the path above
from lattice.authoring import creating  # noqa: E402
from lattice.authoring.building import build  # noqa: E402
from lattice.authoring.key_folder import VARIABLE  # noqa: E402
from lattice.authoring.project import load  # noqa: E402
from lattice.authoring.toolchains import toolchain  # noqa: E402
from tests.support.authoring import WAIT_S, Dev, change, running_dev  # noqa: E402
from tests.support.servers import free_port  # noqa: E402

SAVES = 5


def answered(dev: Dev, name: str) -> None:
    """Waits until the actor says this name."""

    def says() -> bool:
        try:
            answer = dev.ask("GET", "/")
        except OSError:
            return False
        return answer.status == 200 and answer.json == {"actor": name}

    dev.wait_until(says, "no answer")


def measure(language: str, folder: Path) -> str:
    os.environ[VARIABLE] = str(folder / "keys")
    warm = creating.create("warm", language, "http", folder)
    build(warm)
    counter = build(creating.create("small", language, "counter", folder))
    size = build(warm).size

    began = time.perf_counter()
    new = [sys.executable, "-m", "lattice", "new", "actor", "shop", "--lang", language]
    subprocess.run(new, cwd=folder, check=True, capture_output=True, timeout=WAIT_S)
    project = load(folder / "shop")
    with running_dev(project, free_port(), folder / "keys", folder / "cache") as dev:
        answered(dev, "shop")
        first_s = time.perf_counter() - began
        saves = []
        for number in range(SAVES):
            names = (f"shop{number or ''}", f"shop{number + 1}")
            began = time.perf_counter()
            change(project.folder / project.source, *(f'"{name}"' for name in names))
            answered(dev, names[1])
            saves.append(time.perf_counter() - began)
        dev.end()
    median, sizes = statistics.median(saves), f"{counter.size / 1024:.0f} / {size / 1024:.0f} KB"
    return f"| {language} | {sizes} | {first_s:.1f} s | {median:.2f} s ({min(saves):.2f} to {max(saves):.2f}) |"


def main() -> None:
    print("| language | counter / http template | new to first answer | save to answer |")
    print("|---|---|---|---|")
    for language in sys.argv[1:] or creating.offered():
        try:
            toolchain(language).find()
        except errors.ToolMissing as missing:
            print(f"| {language} | {missing} | | |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(measure(language, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
