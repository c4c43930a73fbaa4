"""Compiled code is machine code: believed from a folder and in files that nobody else may write."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lattice.artifacts import cache as cache_module
from lattice.artifacts.cache import CompiledCache
from lattice.config import LINES_VARIABLE, EngineSettings
from lattice.wasm.engine import Engine

DIGEST = hashlib.sha256(b"module").hexdigest()
CODE = b"machine code"
EMPTY_MODULE = b"\0asm\1\0\0\0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.compiled")
    return path


def read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()[: -cache_module.DIGEST_BYTES]


def test_code_that_was_put_is_got(folder: Path) -> None:
    cache = CompiledCache(folder, "engine")
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, CODE)
    assert read(cache.get(DIGEST)) == CODE
    assert CompiledCache(folder, "other").get(DIGEST) is None


def test_a_planted_link_or_pipe_is_not_followed(folder: Path, tmp_path: Path) -> None:
    cache = CompiledCache(folder, "engine")
    cache.put(DIGEST, CODE)
    path, outside = entry(folder), tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert cache.get(DIGEST) is None, "also not to code that is right"
    path.unlink()
    os.mkfifo(path)
    assert cache.get(DIGEST) is None
    path.unlink()
    path.symlink_to(outside)
    cache.put(DIGEST, b"other")
    assert read(cache.get(DIGEST)) == b"other"
    assert outside.read_bytes().startswith(CODE), "the link was replaced, and not written through"


def test_a_file_that_others_may_write_is_not_run(folder: Path) -> None:
    cache = CompiledCache(folder, "engine")
    cache.put(DIGEST, CODE)
    entry(folder).chmod(0o666)
    assert cache.get(DIGEST) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_not_run(folder: Path) -> None:
    cache = CompiledCache(folder, "engine")
    cache.put(DIGEST, CODE)
    os.chown(entry(folder), 12345, 12345)
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, CODE)
    os.chown(folder, 12345, 12345)
    assert cache.get(DIGEST) is None


def test_a_folder_that_is_opened_to_others_later_is_not_used_either(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CompiledCache(folder, "engine")
    cache.put(DIGEST, CODE)
    folder.chmod(0o777)
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, b"other")
    assert caplog.text.count("others may write") == 1, "said once"
    folder.chmod(0o700)
    assert read(cache.get(DIGEST)) == CODE


def test_a_folder_that_is_a_link_is_not_used(folder: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    CompiledCache(real, "engine").put(DIGEST, CODE)
    folder.symlink_to(real)
    cache = CompiledCache(folder, "engine")
    assert cache.get(DIGEST) is None
    cache.put("0" * 64, CODE)
    assert len(list(real.iterdir())) == 1


def test_the_oldest_code_goes_when_there_is_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_BYTES_MAX", 2 * (len(CODE) + cache_module.DIGEST_BYTES))
    cache = CompiledCache(folder, "engine")
    for number in range(4):
        cache.put(f"{number:064}", CODE)
        os.utime(f"{folder}/{number:064}-engine.compiled", (number, number))
    assert cache.get(f"{0:064}") is None
    assert read(cache.get(f"{3:064}")) == CODE


def test_what_somebody_who_was_killed_had_begun_goes_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each start by a lack of memory, a host would fill the disk by what it never finished."""
    monkeypatch.setattr(cache_module, "CACHE_BYTES_MAX", 2 * (len(CODE) + cache_module.DIGEST_BYTES))
    cache = CompiledCache(folder, "engine")
    cache.put(f"{1:064}", CODE)
    (folder / ".new-abc").write_bytes(CODE * 3)
    os.utime(folder / ".new-abc", (1, 1))
    cache.put(f"{2:064}", CODE)
    assert not (folder / ".new-abc").exists()
    assert read(cache.get(f"{1:064}")) == CODE


def test_a_cut_or_changed_entry_is_compiled_again(folder: Path) -> None:
    cache = CompiledCache(folder, "engine")
    cache.put(DIGEST, CODE)
    path = entry(folder)
    whole = path.read_bytes()
    for wrong in (b"", whole[:-1], whole[1:], b"x" + whole[1:], hashlib.sha256(b"").digest()[:31]):
        path.write_bytes(wrong)
        assert cache.get(DIGEST) is None


def test_an_engine_that_names_lines_keeps_its_code_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lattice dev` has one, `lattice test` has not, and a project may be the same module for both."""
    engines, fingerprints = [], []
    try:
        for value in ("", "1"):
            monkeypatch.setenv(LINES_VARIABLE, value)
            engine = Engine(EngineSettings(instances_max=20))
            engines.append(engine)
            fingerprints.append(engine.fingerprint)
            cache = CompiledCache(tmp_path, engine.fingerprint)
            assert cache.get("a" * 64) is None
            module = engine.compile(EMPTY_MODULE)
            cache.put("a" * 64, module.serialize())
            module.close()
        for engine in engines:
            path = CompiledCache(tmp_path, engine.fingerprint).get("a" * 64)
            assert path is not None
            engine.load(path).close()
    finally:
        for engine in engines:
            engine.close()
    assert len(set(fingerprints)) == 2
