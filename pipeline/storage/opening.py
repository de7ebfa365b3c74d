"""Opens the storage that a URI names."""

from pipeline.errors import InputError
from pipeline.storage.base import Storage, is_local
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage


def open_storage(uri: str) -> Storage:
    """The storage that serves this URI: a folder, `file://` or `s3://`. Raises InputError for another scheme."""
    if is_local(uri):
        return LocalStorage.at(uri)
    if uri.startswith("s3://"):
        return S3Storage.at(uri)
    scheme = uri.split("://", 1)[0]
    raise InputError(f"{uri}: the scheme {scheme}:// is not known; give a folder, file:// or s3://bucket/prefix.")
