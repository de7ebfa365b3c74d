"""What a picture costs a worker, for tasks that take about equally long: bytes alone say little of that.

ONE is a picture that takes the network's time alone, as all small ones do. A file of so many bytes takes that time
to decode, by formats' and libraries' pace: measured on photos of 12 megapixels (benchmarks/photos.py, EPYC 7003, 12 ms
for the network).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.settings import EXACT, FAST

# Whole numbers, whose sums are the same in any order.
ONE = 1024
_KIB = 1024
_JPEG = ("jpg", "jpeg", "jpe", "jfif")
_JPEG_BYTES = {EXACT: 96 * _KIB, FAST: 400 * _KIB}
_BYTES = {
    "png": 256 * _KIB,
    "gif": 256 * _KIB,
    "webp": 24 * _KIB,
    "avif": 32 * _KIB,
    "heic": 32 * _KIB,
    "heif": 32 * _KIB,
    "tif": 1024 * _KIB,
    "tiff": 1024 * _KIB,
    "bmp": 2048 * _KIB,
}
_SMALL = min(_BYTES.values())
_ENDING = r"\.(?P<kind>[^./]+)$"


def costs(paths: pa.Array, sizes: pa.Array, way: str) -> NDArray[np.int64]:
    """What each picture costs, ONE at least, by its name, its bytes and the way in which JPEGs are decoded."""
    found = np.full(len(sizes), ONE)
    of_all = sizes.to_numpy()
    large = np.flatnonzero(of_all > _SMALL)
    if len(large):
        endings = pc.struct_field(pc.extract_regex(pc.utf8_lower(paths.take(pa.array(large))), _ENDING), "kind")
        bytes_of = {**dict.fromkeys(_JPEG, _JPEG_BYTES[way]), **_BYTES}
        each = np.array([bytes_of.get(ending, _JPEG_BYTES[way]) for ending in endings.to_pylist()], np.float64)
        found[large] = np.maximum(ONE * of_all[large] / each, ONE)
    return found
