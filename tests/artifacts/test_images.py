"""Images by reference: each kind is fetched from where it is, and kept in one place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lattice import errors
from lattice.artifacts.images import Images
from tests.artifacts.hostile import MODULE, files, hostile

DIGEST = hashlib.sha256(MODULE).hexdigest()


class Store:
    """The lattice's store, in memory."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.gets = 0

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None:
        self.values[name] = bytes(data)

    async def get(self, name: str, timeout_s: float = 30.0) -> bytes:
        self.gets += 1
        if name not in self.values:
            raise errors.TargetUnknown(name)
        return self.values[name]


def images(folder: Path, store: Store) -> Images:
    async def open_store() -> Store:
        return store

    return Images(folder / "cache", open_store)


async def test_a_stored_image_is_fetched_once_and_checked_each_time(tmp_path: Path) -> None:
    store = Store()
    file = tmp_path / "a module.wasm"
    file.write_bytes(MODULE)
    cache = images(tmp_path, store)
    reference = await cache.put(file)
    assert reference == f"stored://{DIGEST}/a_module.wasm"
    store.gets = 0
    path = await cache.fetch(reference)
    assert await cache.fetch(f"stored://{DIGEST}/another-name.wasm") == path, "content has one place"
    assert (path.read_bytes(), store.gets, files(tmp_path)) == (MODULE, 1, [DIGEST])
    path.chmod(0o600)
    path.write_bytes(b"x")
    assert (await cache.fetch(reference)).read_bytes() == MODULE


async def test_a_store_that_lies_or_has_nothing_is_an_error(tmp_path: Path) -> None:
    store = Store()
    store.values[DIGEST] = b"other"
    with pytest.raises(errors.ArtifactMismatch, match="holds something else"):
        await images(tmp_path, store).fetch(f"stored://{DIGEST}/x.wasm")
    store.values.clear()
    with pytest.raises(errors.ArtifactUnreadable, match="has no image"):
        await images(tmp_path, store).fetch(f"stored://{DIGEST}/x.wasm")
    assert files(tmp_path) == []
    with pytest.raises(errors.StoreUnavailable, match="joined no lattice"):
        await Images(tmp_path / "cache").fetch(f"stored://{DIGEST}/x.wasm")


@pytest.mark.parametrize(
    "reference",
    [f"stored://{DIGEST}/../../x", f"stored://{DIGEST.upper()}/x", "stored://../x/y", "https://a.example/x", "x", ""],
)
async def test_what_cannot_be_fetched_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(errors.ArtifactUnreadable, match="is not an image that this host can fetch"):
        await images(tmp_path, Store()).fetch(reference)


async def test_a_file_is_where_it_is(tmp_path: Path) -> None:
    assert await images(tmp_path, Store()).fetch("file:///x/y.wasm") == Path("/x/y.wasm")
    with pytest.raises(errors.ArtifactUnreadable, match="not an absolute path"):
        await images(tmp_path, Store()).fetch("file://y.wasm")


async def test_a_registry_s_image_is_pulled_and_said_so(tmp_path: Path) -> None:
    async with hostile() as registry:
        cache = registry.images(tmp_path)
        said: list[str] = []
        path = await cache.fetch(str(registry.reference()), said.append)
        assert path == await cache.fetch(f"oci://{registry.reference()}", said.append)
        assert path.read_bytes() == MODULE
        assert len(said) == 1
        assert said[0].startswith(f"pulled {registry.reference()} (156 KiB in ")


async def test_content_of_the_store_and_of_registries_is_the_same_content(tmp_path: Path) -> None:
    async with hostile() as registry:
        cache = registry.images(tmp_path)
        path = await cache.fetch(str(registry.reference()))
        assert await cache.fetch(f"stored://{DIGEST}/x.wasm") == path, "without asking the store"
