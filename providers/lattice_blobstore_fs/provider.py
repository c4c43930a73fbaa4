"""The blobstore contract on the local file system."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pydantic
from lattice_blobstore import BlobSettings, Blobstore, Store

from lattice import errors
from lattice.provider import Settings
from lattice_blobstore_fs.disk import Disk
from lattice_blobstore_fs.layout import Root
from lattice_blobstore_fs.store import FsStore

DEFAULT_ROOT = Path("blobs")


class FsSettings(BlobSettings):
    root: Path = DEFAULT_ROOT
    """The folder of everything. A relative one is inside the provider's data folder."""
    sync: bool = True
    """Whether a put returns only when the object survives a power cut. Without it puts are several times faster."""
    io_threads: int = pydantic.Field(4, ge=1, le=64)
    """Threads for file work: disks gain little from more requests at a time than this."""


class BlobstoreFs(Blobstore):
    name = "blobstore-fs"
    attach_settings_type: ClassVar[type[Settings]] = FsSettings

    def store_key(self, settings: BlobSettings) -> object:
        assert isinstance(settings, FsSettings)
        return (self._root(settings), settings.sync, settings.io_threads)

    async def open_store(self, settings: BlobSettings) -> Store:
        assert isinstance(settings, FsSettings)
        root = Root(self._root(settings), settings.sync)
        disk = Disk(settings.io_threads)
        try:
            await disk.run(root.open)
        except BaseException:
            disk.close()
            raise
        return FsStore(root, disk)

    def _root(self, settings: FsSettings) -> Path:
        data = self.context.data.absolute()
        root = data / settings.root
        if ".." in settings.root.parts or str(settings.root) in ("", "."):
            raise errors.ConfigError(
                f"the root {str(settings.root)!r} is not a folder inside the provider's data folder",
                remedy='name a folder without "..", or an absolute path',
            )
        return root
