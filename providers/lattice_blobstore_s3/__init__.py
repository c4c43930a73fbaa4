"""Blobs in buckets of an S3 service."""

from lattice_blobstore_s3.provider import BlobstoreS3

__all__ = ["BlobstoreS3"]
