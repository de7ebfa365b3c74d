"""What a person would want to know before a run of large photos begins: that it could take a fraction of the time."""

from collections.abc import Sequence
from statistics import median

from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.decode import fast_scale
from pipeline.settings import EXACT, RunSettings
from pipeline.storage.base import Pictures

# Smaller ones are not looked at: a JPEG of two megapixels has more, and each look is a request to the store.
LARGE_BYTES = 200_000
LOOKED_AT = 5
LARGE_MEGAPIXELS = 2.0
# Milliseconds of one core for a megapixel of JPEG, as it is and at a smaller scale, and for the network at f32
# (of benchmarks/photos.md, 12 megapixels, 2026-11-27).
_EXACT_MS, _FAST_MS, _NETWORK_MS = 12.0, 2.9, 18.1


def of_decoding(images: Pictures, settings: RunSettings, some: Sequence[str], mean_bytes: float) -> str:
    """One sentence where most of `some` pictures, a few of which are read, are large JPEGs; else none."""
    if settings.decode != EXACT or mean_bytes < LARGE_BYTES:
        return ""
    found = [_megapixels(images, path, settings.image_size) for path in some[:LOOKED_AT]]
    size = median(found) if found else 0.0
    if size < LARGE_MEGAPIXELS:
        return ""
    share = (_FAST_MS * size + _NETWORK_MS) / (_EXACT_MS * size + _NETWORK_MS)
    return (
        f"These are photos of about {size:,.0f} megapixels: with --decode fast they would take about {share:.0%} of "
        "the time, for nearly the same features (benchmarks/photos.md)."
    )


def _megapixels(images: Pictures, path: str, side: int) -> float:
    """Of a JPEG that has a smaller scale; none of another picture, or of what cannot be read."""
    try:
        return fast_scale(images.read(path), side) / 1e6
    except (OSError, BadPictureError):
        return 0.0
