"""What only the SQLite provider promises: what survives a crash, a full disk, a long log, and who may open the file."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lattice_keyvalue_sqlite import KeyValueSqlite, provider, store
from lattice_keyvalue_sqlite.file import DatabaseFile

from lattice.contracts import keyvalue as kv
from lattice.errors import ConfigError, Overloaded, PayloadTooLarge, ProviderError, ProviderUnavailable
from lattice.testing import ProviderRig, provider_rig

WRITER = Path(__file__).with_name("keyvalue_writer.py")


async def increment(rig: ProviderRig, key: str = "n", value: int = 1) -> int:
    return await rig.call("KeyValue.Increment", kv.IncrementRequest(key=key, value=value))


async def set_value(rig: ProviderRig, key: str, value: str, expires: int = 0) -> None:
    await rig.call("KeyValue.Set", kv.SetRequest(key=key, value=value, expires=expires))


@pytest.mark.parametrize("durability", ["crash", "power"])
async def test_kill_9_takes_nothing_that_was_acknowledged(tmp_path: Path, durability: str) -> None:
    with subprocess.Popen([sys.executable, str(WRITER), str(tmp_path), durability], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            # Killed in the middle of its work, after enough acknowledgements to have some in every batch.
            lines = [child.stdout.readline() for _ in range(400)]
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        lines += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    acknowledged: dict[str, int] = {}
    for line in lines:
        name, number = line.decode().split()
        assert int(number) == acknowledged.get(name, 0) + 1
        acknowledged[name] = int(number)
    assert sum(acknowledged.values()) >= 400
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        for name, number in acknowledged.items():
            found = int((await rig.call("KeyValue.Get", name)).value)
            items = await rig.call(
                "KeyValue.ListRange", kv.ListRangeRequest(list_name=f"{name}-list", start=0, stop=-1)
            )
            # The call that was under way may be kept or not; no other.
            assert number <= found <= number + 1
            assert items == [str(count) for count in range(1, len(items) + 1)]
            assert number <= len(items) <= found
        with sqlite3.connect(tmp_path / "keyvalue.db") as look:
            assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        look.close()


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow over `size`, as a full disk would."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("durability", ["crash", "power"])
async def test_a_full_disk_refuses_the_whole_batch_keeps_what_was_acknowledged_and_heals(
    tmp_path: Path, durability: str
) -> None:
    async with provider_rig(KeyValueSqlite, tmp_path, durability=durability) as rig:
        await rig.attach()
        while (tmp_path / "keyvalue.db-wal").stat().st_size < 200_000:
            await asyncio.gather(*(increment(rig) for _ in range(4)))
        before = await increment(rig)
        with files_at_most((tmp_path / "keyvalue.db-wal").stat().st_size):
            results = await asyncio.gather(*(increment(rig) for _ in range(8)), return_exceptions=True)
            assert [type(result) for result in results] == [ProviderUnavailable] * 8
            assert "keyvalue.db cannot be written" in str(results[0])
            # What is there can still be read, and the provider says that it is not well.
            assert (await rig.call("KeyValue.Get", "n")).value == str(before)
            with pytest.raises(ProviderUnavailable, match="cannot be written"):
                await rig.provider.health()
        assert await asyncio.gather(*(increment(rig) for _ in range(8))) == [before + n for n in range(1, 9)]
        await rig.provider.health()
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        assert (await rig.call("KeyValue.Get", "n")).value == str(before + 8)


async def test_a_statement_that_fails_undoes_the_batch_and_tells_everybody_in_it(tmp_path: Path) -> None:
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        assert await increment(rig) == 1
        # A table that is gone under the provider's feet, as in a file that somebody else has edited.
        with sqlite3.connect(tmp_path / "keyvalue.db") as other:
            other.execute("ALTER TABLE members RENAME TO elsewhere")
        add = rig.call("KeyValue.SetAdd", kv.SetAddRequest(set_name="s", value="v"))
        results = await asyncio.gather(increment(rig), increment(rig), add, increment(rig), return_exceptions=True)
        assert [type(result) for result in results[:3]] == [ProviderUnavailable] * 3
        assert "no such table: members" in str(results[0])
        assert results[3] == 2, "the call after the failure began a batch of its own"
        with other:
            other.execute("ALTER TABLE elsewhere RENAME TO members")
        other.close()
        assert await rig.call("KeyValue.SetAdd", kv.SetAddRequest(set_name="s", value="v")) == 1
        assert await increment(rig) == 3


async def test_writes_of_one_turn_share_a_commit_and_reads_see_only_what_is_committed(tmp_path: Path) -> None:
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        bucket = rig.provider.attached("actor", "default")
        seen: list[bytes | None] = []

        async def look() -> None:
            seen.append(await bucket.get("n"))

        with sqlite3.connect(tmp_path / "keyvalue.db") as other:
            before = other.execute("PRAGMA data_version").fetchone()
            writes = asyncio.gather(*(bucket.increment("n", 1) for _ in range(50)), look())
            await asyncio.sleep(0)
            assert seen == [None], "the read came after the writes and waited for nothing"
            assert other.execute("PRAGMA data_version").fetchone() == before, "nothing is committed within the turn"
            assert (await writes)[:50] == list(range(1, 51))
            assert await bucket.get("n") == b"50"
            assert other.execute("SELECT CAST(value AS TEXT) FROM entries").fetchall() == [("50",)]
        other.close()


async def test_the_log_is_moved_into_the_file_while_writers_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "LOG_BYTES_MAX", 100_000)
    monkeypatch.setattr(provider, "FLUSH_INTERVAL_S", 0.02)
    log = tmp_path / "keyvalue.db-wal"
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        largest = writes = restarts = 0
        deadline = time.monotonic() + 5
        while restarts < 3 and time.monotonic() < deadline:
            size = log.stat().st_size
            largest = max(largest, size)
            await asyncio.gather(*(set_value(rig, f"k{writes % 100}-{n}", "x" * 500) for n in range(8)))
            writes += 1
            restarts += log.stat().st_size < size
        assert restarts == 3
        assert largest > 100_000
        for n in range(8):
            assert (await rig.call("KeyValue.Get", f"k0-{n}")).exists
        assert rig.failures == []


async def test_commits_are_flushed_to_disk_in_the_background_and_a_failure_is_the_provider_s_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "FLUSH_INTERVAL_S", 0.02)
    flush = DatabaseFile.flush
    outcomes: list[str] = []
    broken = False

    def watched(file: DatabaseFile) -> None:
        if broken:
            outcomes.append("failed")
            raise OSError("Input/output error")
        flush(file)
        outcomes.append("flushed")

    async def next_outcome() -> str:
        count, deadline = len(outcomes), time.monotonic() + 5
        while len(outcomes) == count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        return outcomes[-1]

    monkeypatch.setattr(DatabaseFile, "flush", watched)
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        await increment(rig)
        assert await next_outcome() == "flushed"
        await asyncio.sleep(0.1)
        assert outcomes == ["flushed"], "nothing new to flush, nothing flushed"
        broken = True
        await increment(rig)
        assert await next_outcome() == "failed"
        await asyncio.sleep(0)
        with pytest.raises(ProviderUnavailable, match="cannot be flushed to disk: Input/output error"):
            await rig.provider.health()
        broken = False
        while await next_outcome() == "failed":
            pass
        await asyncio.sleep(0.01)
        await rig.provider.health()


async def test_commits_that_wait_for_the_disk_leave_the_loop_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `power` a disk that takes 0.2 s delays writers, who meet in the next batch, and nobody else."""
    async with provider_rig(KeyValueSqlite, tmp_path, durability="power") as rig:
        await rig.attach()
        await increment(rig)
        opened = rig.provider._store  # type: ignore[attr-defined]
        commit = opened._commit
        commits = []

        disk_is_ready = threading.Event()

        def slow_commit() -> str | None:
            commits.append(threading.current_thread())
            assert disk_is_ready.wait(20)
            return commit()

        monkeypatch.setattr(opened, "_commit", slow_commit)
        first = asyncio.create_task(increment(rig))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(increment(rig)) for _ in range(20)]
        assert (await rig.call("KeyValue.Get", "n")).value == "1"
        assert not first.done(), "reads and the loop do not wait for the disk"
        disk_is_ready.set()
        assert await first == 2
        assert await asyncio.gather(*others) == list(range(3, 23))
        assert len(commits) == 2
        assert threading.main_thread() not in commits


@pytest.mark.parametrize(("durability", "synchronous"), [("crash", 1), ("power", 2)])
async def test_only_power_asks_sqlite_to_flush_each_commit(tmp_path: Path, durability: str, synchronous: int) -> None:
    file = DatabaseFile(tmp_path / "keyvalue.db", flush_commits=durability == "power")
    file.open()
    try:
        # 1 is NORMAL: never by a commit, as `start_log` has written the head of the log. 2 is FULL: by every commit.
        assert file.writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert file.writer.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        assert file.log_bytes() > 0
    finally:
        file.close()


async def test_a_disk_that_does_not_answer_is_an_error_in_bounded_time_and_the_queue_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "STALL_S", 0.15)
    monkeypatch.setattr(store, "WAITING_MAX", 3)
    async with provider_rig(KeyValueSqlite, tmp_path, durability="power") as rig:
        await rig.attach()
        opened = rig.provider._store  # type: ignore[attr-defined]
        commit = opened._commit
        answers = threading.Event()
        monkeypatch.setattr(opened, "_commit", lambda: answers.wait(5) and commit())
        try:
            first = asyncio.create_task(increment(rig))
            await asyncio.sleep(0.01)
            results = await asyncio.gather(*(increment(rig) for _ in range(5)), return_exceptions=True)
            kinds = [type(result) for result in results]
            assert kinds == [ProviderUnavailable] * 3 + [Overloaded] * 2
            with pytest.raises(ProviderUnavailable, match=r"did not answer in 0\.15 s"):
                await first
        finally:
            answers.set()
        monkeypatch.undo()
        # The commit went through after all, as the error said it might.
        assert await increment(rig) == 2


async def test_expired_values_are_swept_away_a_bounded_number_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "SWEEP_COUNT", 7)
    async with provider_rig(KeyValueSqlite, tmp_path, sweep_interval_s="0.05") as rig:
        await rig.attach()
        await asyncio.gather(
            *(set_value(rig, f"k{n}", "v", expires=1) for n in range(30)), set_value(rig, "stays", "v")
        )
        deadline = time.monotonic() + 5
        with sqlite3.connect(tmp_path / "keyvalue.db") as look:
            while (rows := look.execute("SELECT key FROM entries").fetchall()) != [("stays",)]:
                assert time.monotonic() < deadline, rows
                await asyncio.sleep(0.02)
        look.close()
        assert rig.failures == []


async def test_a_file_has_one_provider_at_a_time(tmp_path: Path) -> None:
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach()
        await increment(rig)
        with pytest.raises(ConfigError, match="in use by another provider") as caught:
            async with provider_rig(KeyValueSqlite, tmp_path):
                pytest.fail("two providers opened one file")
        assert "path" in caught.value.remedy
        assert await increment(rig) == 2
        async with provider_rig(KeyValueSqlite, tmp_path, path="other.db") as other:
            await other.attach()
            assert await increment(other) == 1
    async with provider_rig(KeyValueSqlite, tmp_path) as again:
        await again.attach()
        assert await increment(again) == 3
    assert not (tmp_path / "keyvalue.db-wal").exists(), "a clean stop leaves everything in the one file"


async def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and long enough to be seen as none" * 20)
    with sqlite3.connect(tmp_path / "foreign.db") as foreign:
        foreign.execute("CREATE TABLE people (name)")
    foreign.close()
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "file").write_text("")
    for path, reason in (
        ("text.db", "file is not a database"),
        ("foreign.db", "not a key-value file of this version: user_version is 0, not 1"),
        ("folder.db", "unable to open"),
        ("file/keyvalue.db", "exists|Not a directory"),
    ):
        with pytest.raises(ConfigError, match=reason) as caught:
            async with provider_rig(KeyValueSqlite, tmp_path, path=path):
                pytest.fail(f"{path} was accepted")
        assert path in str(caught.value)
    with sqlite3.connect(tmp_path / "foreign.db") as foreign:
        assert foreign.execute("SELECT name FROM sqlite_master").fetchall() == [("people",)]
    foreign.close()


async def test_settings_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    for settings in ({"durability": "perhaps"}, {"items_max": "0"}, {"paht": "x"}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            async with provider_rig(KeyValueSqlite, tmp_path, **settings):
                pytest.fail(f"{settings} was accepted")
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        with pytest.raises(ConfigError, match="bucket"):
            await rig.attach(bucket="")


async def test_lists_and_sets_have_a_limit_and_so_has_a_reply(tmp_path: Path) -> None:
    async with provider_rig(KeyValueSqlite, tmp_path, items_max="3") as rig:
        await rig.attach()
        for n in range(3):
            await rig.call("KeyValue.ListAdd", kv.ListAddRequest(list_name="l", value=f"{n}"))
            await rig.call("KeyValue.SetAdd", kv.SetAddRequest(set_name="s", value=f"{n}"))
        with pytest.raises(ProviderError, match="3 items") as caught:
            await rig.call("KeyValue.ListAdd", kv.ListAddRequest(list_name="l", value="x"))
        assert "items_max" in caught.value.remedy
        with pytest.raises(ProviderError, match="3 items"):
            await rig.call("KeyValue.SetAdd", kv.SetAddRequest(set_name="s", value="x"))
        bucket = rig.provider.attached("actor", "default")
        for n in range(3):
            await bucket.list_add("long", bytes([n]) * 6_000_000)
        with pytest.raises(PayloadTooLarge, match="the limit of one reply"):
            await bucket.list_range("long", 0, -1)
        assert [len(item) for item in await bucket.list_range("long", 0, 1)] == [6_000_000] * 2


async def test_stopping_in_the_middle_of_writes_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    rigs = provider_rig(KeyValueSqlite, tmp_path, durability="power")
    rig = await rigs.__aenter__()
    await rig.attach()
    writes = [asyncio.create_task(increment(rig)) for _ in range(20)]
    await asyncio.sleep(0)
    await rigs.__aexit__(None, None, None)
    results = await asyncio.gather(*writes, return_exceptions=True)
    kept = [result for result in results if isinstance(result, int)]
    async with provider_rig(KeyValueSqlite, tmp_path) as again:
        await again.attach()
        assert await increment(again, value=0) == max(kept, default=0)
    assert not [thread for thread in threading.enumerate() if "keyvalue-sqlite" in thread.name]
