"""Thumbnails for the report's map: made by the tasks, whose pixels they are, and carried in their parts' metadata.

So the report reads no picture: a thousand photos of a phone are gigabytes, and a minute of decoding.
"""

import io
import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_PIXELS = 40
# About how many points the map has, and how many parts are read for it at most.
_POINTS = 1_500
_PARTS_READ = 256
_QUALITY = 85
_METADATA = b"orchard.thumbnails"


@dataclass(frozen=True)
class Shown:
    """Which pictures are on the map: of each `parts`th task every `pictures`th, by chance, that is by its path."""

    parts: int = 1
    pictures: int = 1

    @classmethod
    def of(cls, pictures: int, tasks: int) -> "Shown":
        """Of so many pictures in so many tasks."""
        parts = max(-(-tasks // _PARTS_READ), 1)
        return cls(parts, max(-(-pictures // (parts * _POINTS)), 1))

    def has(self, task: int, path: str) -> bool:
        """Whether this picture of this task is shown."""
        return task % self.parts == 0 and zlib.crc32(path.encode()) % self.pictures == 0


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A decoded picture, uint8 of shape (n, n, 3), as a small JPEG."""
    jpeg = io.BytesIO()
    small = Image.fromarray(pixels).resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    small.save(jpeg, "JPEG", quality=_QUALITY, subsampling=0)
    return jpeg.getvalue()


def metadata_of(thumbnails: dict[str, bytes]) -> dict[bytes, bytes]:
    """Thumbnails by path as a table's metadata; none for none."""
    if not thumbnails:
        return {}
    return {_METADATA: json.dumps({path: b64encode(jpeg).decode() for path, jpeg in thumbnails.items()}).encode()}


def thumbnails_in(table: pa.Table) -> dict[str, bytes]:
    """Those of a part, by path; none in parts of before."""
    told = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    return {path: b64decode(jpeg) for path, jpeg in told.items()}
