"""Opens the storage or the pictures that a URI names."""

from pipeline.errors import InputError
from pipeline.packed import INDEX_KEY, PackedPictures
from pipeline.storage import Pictures, Storage, is_local
from pipeline.storage_local import LocalStorage
from pipeline.storage_s3 import S3Storage


def open_storage(uri: str) -> Storage:
    """The storage that serves this URI: a folder, `file://` or `s3://`. Raises InputError for another scheme."""
    if is_local(uri):
        return LocalStorage.at(uri)
    if uri.startswith("s3://"):
        return S3Storage.at(uri)
    scheme = uri.split("://", 1)[0]
    raise InputError(f"{uri}: the scheme {scheme}:// is not known; give a folder, file:// or s3://bucket/prefix.")


def open_pictures(uri: str) -> Pictures:
    """The pictures at this URI: packed ones where a pack lies there, else each object by itself.

    Raises InputError where the place cannot be read or the pack is damaged.
    """
    storage = open_storage(uri)
    storage.check_readable()
    return PackedPictures.at(storage) if storage.exists(INDEX_KEY) else storage
