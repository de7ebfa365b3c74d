"""Opens the pictures that a URI names."""

from pipeline.pictures.pack_reader import INDEX_KEY, PackedPictures
from pipeline.storage.base import Pictures
from pipeline.storage.opening import open_storage


def open_pictures(uri: str) -> Pictures:
    """The pictures at this URI: packed ones where a pack lies there, else each object by itself.

    Raises InputError where the place cannot be read or the pack is damaged.
    """
    storage = open_storage(uri)
    storage.check_readable()
    return PackedPictures.at(storage) if storage.exists(INDEX_KEY) else storage
