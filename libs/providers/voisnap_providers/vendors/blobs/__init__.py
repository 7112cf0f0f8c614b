"""Object storage: a folder, an S3 bucket, or memory for tests, by URL."""

from .store import ObjectBlobs, blobs_from_url

__all__ = ["ObjectBlobs", "blobs_from_url"]
