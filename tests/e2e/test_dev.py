"""`lattice dev` as a process: a file is saved, and the answer changes; nothing is lost, and mistakes are survived."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from tests.support import authoring
from tests.support.authoring import Dev, change
from tests.support.servers import free_port

SERVING = "saved changes run at once"
CHANGED = "serving the change"
Starter = Callable[..., AbstractContextManager[Dev]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def dev(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Starter:
    """`with dev(project) as running`; all of a module share their keys and compiled code."""
    cache = tmp_path_factory.mktemp("cache")

    def start(project: Project, *options: str, port: int = 0) -> AbstractContextManager[Dev]:
        return authoring.running_dev(project, port or free_port(), keys, cache, *options)

    return start


@pytest.fixture
def counter(tmp_path: Path) -> Project:
    return authoring.project(tmp_path, "c", "counter")


class Asking(threading.Thread):
    """Asks without a pause until it is told to stop; `failed` are the answers that were not 200."""

    def __init__(self, dev: Dev) -> None:
        super().__init__()
        self._dev = dev
        self.stopping = threading.Event()
        self.answered = 0
        self.failed: list[object] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                answer = self._dev.ask("GET", "/load")
            except OSError as error:
                self.failed.append(error)
                continue
            if answer.status == 200:
                self.answered += 1
            else:
                self.failed.append(answer)


@pytest.fixture
def asking() -> Iterator[Callable[[Dev], Asking]]:
    threads: list[Asking] = []

    def begin(dev: Dev) -> Asking:
        threads.append(Asking(dev))
        threads[-1].start()
        return threads[-1]

    yield begin
    for thread in threads:
        thread.stopping.set()
        thread.join(authoring.WAIT_S)


def test_a_saved_change_is_served_without_losing_a_request_or_state(
    counter: Project, dev: Starter, asking: Callable[[Dev], Asking]
) -> None:
    source = counter.folder / "app.c"
    with dev(counter) as running:
        seen = running.wait_for(SERVING)
        assert running.ask("GET", "/x").json == {"count": 1}
        load = asking(running)
        for number, (before, after) in enumerate(pairwise(("count", "first", "second", "count")), 2):
            change(source, f'\\"{before}\\"', f'\\"{after}\\"')
            seen = running.wait_for(CHANGED, seen)
            assert running.ask("GET", "/x").json == {after: number}
        load.stopping.set()
        load.join(authoring.WAIT_S)
        assert load.failed == []
        assert load.answered > 0
        assert running.ask("GET", "/load").json == {"count": load.answered + 1}
        assert running.end() == 0
        assert "stopped" in running.said
    with dev(counter) as running:
        running.wait_for(SERVING)
        assert running.ask("GET", "/x").json == {"count": 5}
        assert running.end(signal.SIGTERM) == 0


def test_mistakes_are_told_and_what_ran_goes_on(counter: Project, dev: Starter) -> None:
    source = counter.folder / "app.c"
    with dev(counter) as running:
        seen = running.wait_for(SERVING)
        change(source, "int32_t number =", "int32_t number ==")
        seen = running.wait_for("what ran before goes on", seen)
        assert re.search(r"(?m)^app\.c:\d+:\d+: error: ", running.said)
        assert running.ask("GET", "/x").json == {"count": 1}
        change(source, "int32_t number ==", "int32_t number = 1 +")
        seen = running.wait_for(CHANGED, seen)
        assert running.ask("GET", "/x").json == {"count": 3}

        change(counter.manifest, "builtin://http-server", "builtin://http-sever")
        seen = running.wait_for("app.yaml:", seen)
        running.wait_for("there is no provider 'http-sever'", seen)
        seen = running.wait_for("what ran before goes on", seen)
        (counter.folder / "lattice.toml").write_text("[actor")
        seen = running.wait_for("lattice.toml:", seen)
        assert running.ask("GET", "/x").status == 200
        (counter.folder / "lattice.toml").write_text('[actor]\nname = "shop"\nlanguage = "c"\nsource = "app.c"\n')
        change(counter.manifest, "builtin://http-sever", "builtin://http-server")
        seen = running.wait_for(CHANGED, seen)
        assert running.ask("GET", "/x").json == {"count": 5}
        builds = running.said.count("building ")
        change(counter.manifest, "builtin://http-server", "builtin://http-server ")
        running.wait_for(CHANGED, seen)
        assert running.ask("GET", "/x").json == {"count": 6}
        assert running.said.count("building ") == builds, "the module is the same"


def test_a_project_that_does_not_compile_at_first_is_waited_for(counter: Project, dev: Starter) -> None:
    source = counter.folder / "app.c"
    change(source, "return;", "return")
    with dev(counter) as running:
        running.wait_for("does not compile")
        assert "what ran before" not in running.said
        change(source, "return", "return;")
        running.wait_for(SERVING)
        assert running.ask("GET", "/x").json == {"count": 1}


def test_requests_are_shown_and_failures_with_their_place_in_the_source(counter: Project, dev: Starter) -> None:
    source = counter.folder / "app.c"
    change(source, '#include "lattice.h"', '#include "lattice.h"\nstatic volatile int zero;')
    change(
        source,
        "reply_json(reply, 200);",
        "if (number > 1) {\n        number /= zero;\n    }\n    reply_json(reply, 200);",
    )
    with dev(counter) as running:
        running.wait_for(SERVING)
        assert running.ask("GET", "/x?y=1").status == 200
        running.wait_for("GET /x?y=1 200 ")
        assert running.ask("POST", "/x").status == 405
        running.wait_for("POST /x 405 ")
        assert running.ask("GET", "/x").status == 502
        seen = running.wait_for("GET /x guest_trapped ")
        running.wait_for("integer divide by zero", seen)
        line = next(n for n, text in enumerate(source.read_text().splitlines(), 1) if "number /= zero" in text)
        running.wait_for(f"in count, app.c:{line}:", seen)
        assert str(counter.folder / "app.c") not in running.said[seen:]


def test_what_a_change_needs_is_wired_at_once(counter: Project, dev: Starter) -> None:
    with dev(counter) as running:
        seen = running.wait_for(SERVING)
        assert running.ask("GET", "/x").json == {"count": 1}
        change(
            counter.folder / "app.c",
            "reply_json(reply, 200);",
            'log_warn(TEXT("counted"));\n    publish(TEXT("counted"), request->path);\n'
            '    blob_create_container(TEXT("pages"));\n    reply_json(reply, 200);',
        )
        seen = running.wait_for("wired wasmcloud:blobstore to blobstore-fs; app.yaml has no link for it", seen)
        running.wait_for("wired wasmcloud:messaging to messaging-memory", seen - 200)
        running.wait_for(CHANGED, seen)
        assert running.ask("GET", "/x").json == {"count": 2}
        running.wait_for("log warning: counted", seen)


def test_messages_and_ticks_arrive_as_the_manifest_says(tmp_path: Path, dev: Starter) -> None:
    worker = authoring.project(tmp_path, "c", "worker", "words")
    with dev(worker) as running:
        running.wait_for(SERVING)
        assert running.ask("POST", "/jobs/one", "some words of mine").json == {"id": "one"}
        running.wait_for("message jobs.one ok ")
        assert running.ask("GET", "/jobs/one").json == {"id": "one", "words": 4}
    timer = authoring.project(tmp_path, "c", "cron", "ticker")
    change(timer.manifest, "every: 5s", "every: 100ms")
    with dev(timer) as running:
        running.wait_for("tick default ok ")
        assert running.ask("GET", "/").json["ticks"] > 0


def test_two_in_one_folder_and_a_port_in_use_are_refused(counter: Project, dev: Starter) -> None:
    with dev(counter) as first:
        first.wait_for(SERVING)
        with dev(counter) as second:
            assert second.process.wait(authoring.WAIT_S) == 1
            assert f"another lattice dev or lattice up runs {counter.folder}" in second.said
        assert first.ask("GET", "/x").status == 200
        first.end()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with dev(counter, port=port) as refused:
            assert refused.process.wait(authoring.WAIT_S) == 1
            assert f"port {port} is in use" in refused.said


def test_it_ends_at_once_while_a_compiler_runs(counter: Project, dev: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = counter.folder.parent / "slow-zig"
    slow.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo 0.17.1 && exit\necho $$ > {slow}.pid\nexec sleep 1000\n')
    slow.chmod(0o755)
    monkeypatch.setenv("LATTICE_ZIG", str(slow))
    started = Path(f"{slow}.pid")
    with dev(counter) as running:
        running.wait_until(lambda: started.exists() and started.read_text() != "", "no compiler")
        assert running.end() == 0
    assert not is_alive(int(started.read_text()))


def test_a_build_begins_again_when_something_is_saved_meanwhile(
    counter: Project, dev: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler that waits for ever over the word `slowly`, and else is the real one."""
    real = shlex.join(toolchain("c").find().command)
    slow = counter.folder.parent / "slow-zig"
    slow.write_text(
        f'#!/bin/sh\nif [ "$1" = cc ] && grep -q slowly app.c; then exec sleep 1000; fi\nexec {real} "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("LATTICE_ZIG", str(slow))
    source = counter.folder / "app.c"
    with dev(counter) as running:
        seen = running.wait_for(SERVING)
        change(source, "/* Counts", "/* Counts slowly")
        seen = running.wait_for("building shop", seen)
        assert running.ask("GET", "/x").json == {"count": 1}
        change(source, "/* Counts slowly", "/* Counts")
        seen = running.wait_for("saved again: building from the start", seen)
        running.wait_for(CHANGED, seen)
        assert running.ask("GET", "/x").json == {"count": 2}
        assert "error" not in running.said


def is_alive(pid: int) -> bool:
    deadline = time.monotonic() + authoring.WAIT_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


def test_a_document_says_where_it_serves(counter: Project, dev: Starter) -> None:
    with dev(counter, "-o", "json") as running:
        running.wait_for(f'"http://127.0.0.1:{running.port}/"')
        running.wait_for(SERVING)
        assert running.ask("GET", "/x").json == {"count": 1}
