"""Blobs in folders of the local file system. POSIX only: it relies on directory descriptors and advisory locks."""

from lattice_blobstore_fs.provider import BlobstoreFs

__all__ = ["BlobstoreFs"]
