"""Small pictures in every format that Pillow writes, and what becomes of one under a number: the same each time."""

import io
import random
import struct
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, features
from pillow_heif import register_heif_opener

from pipeline.pixels.decode import FORMATS
from pipeline.pixels.heif import FORMAT

register_heif_opener()
SIZE = (23, 17)
# What headers count with, at its edges and where signs and products overflow.
EDGES = (0, 1, 2, 7, 8, 127, 128, 255, 256, 1000, 13_000, 32_767, 32_768, 46_341, 65_535, 65_536, 2**24, 2**31 - 1)
REFUSED = (
    *("BLP", "DDS", "EPS", "ICNS", "ICO", "IM", "JPEG2000", "MSP", "PCX", "PDF", "PPM", "QOI", "SGI", "SPIDER", "TGA"),
    "XBM",
)
MODES = {"MSP": "1", "XBM": "1", "SPIDER": "F", "BLP": "P", "ICNS": "RGBA"}

VARIANTS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "JPEG": [
        ("RGB", {}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": 0, "exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"}),
    ],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("1", {}), ("L", {}), ("LA", {}), ("I;16", {})],
    "BMP": [("RGB", {}), ("P", {}), ("1", {}), ("L", {})],
    "GIF": [("P", {}), ("L", {}), ("P", {"interlace": 1})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True})],
    "TIFF": [
        *[("RGB", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "lzma")],
        *[("1", {"compression": name}) for name in ("group3", "group4", "tiff_ccitt")],
        *[(mode, {}) for mode in ("RGBA", "L", "P", "I;16", "F", "CMYK", "LAB", "YCbCr")],
    ],
    FORMAT: [("RGB", {"quality": 30}), ("RGB", {"quality": 30, "tile_size": 16})],
    "AVIF": [("RGB", {"speed": 10}), ("RGBA", {"speed": 10})],
}


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """The whole pictures: format and content. Those taken come first, several of each."""
    found = [(name, _saved(name, mode, options)) for name in (*FORMATS, FORMAT) for mode, options in VARIANTS[name]]
    found += [("GIF", _several("GIF")), ("TIFF", _several("TIFF")), ("MPO", _several("MPO")), ("PNG", _several("PNG"))]
    if features.check("webp"):
        found.append(("WEBP", _several("WEBP")))
    found += [(name, _saved(name, MODES.get(name, "RGB"), {})) for name in REFUSED]
    return tuple((name, data) for name, data in found if data)


def _saved(name: str, mode: str, options: dict[str, object]) -> bytes:
    sink = io.BytesIO()
    try:
        _picture(mode).save(sink, name, **options)
    except (KeyError, OSError, ValueError):
        return b""  # this Pillow was built without it
    return sink.getvalue()


def _several(name: str) -> bytes:
    sink = io.BytesIO()
    first, *more = (_picture("RGB", number) for number in range(3))
    first.save(sink, name, save_all=True, append_images=more)
    return sink.getvalue()


def _picture(mode: str, number: int = 0) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 256, (SIZE[1], SIZE[0], 4), np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[..., :2].copy().view(np.uint16)[..., 0])
    if mode == "LAB":
        return Image.frombytes("LAB", SIZE, noise[..., :3].tobytes())
    return Image.fromarray(noise[..., :3].copy()).convert(mode) if mode != "RGBA" else Image.fromarray(noise)


def mutated(seed: int, number: int) -> tuple[str, bytes]:
    """The case of that number: the format that it began as, and its bytes."""
    rng = random.Random(f"{seed} {number}")  # a course to follow again, not a secret
    name, data = rng.choice(seeds())
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 12))):
        if changed:
            rng.choice(MUTATIONS)(rng, changed)
    return name, bytes(changed)


def _place(rng: random.Random, data: bytearray) -> int:
    """Most of what is decided is decided in the first bytes."""
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data))


def _flip(rng: random.Random, data: bytearray) -> None:
    data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray) -> None:
    data[_place(rng, data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: random.Random, data: bytearray) -> None:
    at, edge = _place(rng, data), rng.choice(EDGES) * rng.choice((1, 1, -1))
    form = rng.choice(("<H", ">H", "<I", ">I"))
    data[at : at + struct.calcsize(form)] = struct.pack(form, edge % (1 << 8 * struct.calcsize(form)))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _delete(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    del data[at : at + rng.randrange(1, 40)]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at, length = _place(rng, data), rng.randrange(1, 80)
    data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 50))


def _splice(rng: random.Random, data: bytearray) -> None:
    _, other = rng.choice(seeds())
    at, begin = _place(rng, data), rng.randrange(len(other))
    data[at : at + rng.randrange(60)] = other[begin : begin + rng.randrange(1, 200)]


def _another(rng: random.Random, data: bytearray) -> None:
    """One picture behind another's first bytes: a container that holds what it does not tell."""
    _, other = rng.choice(seeds())
    data[rng.choice((2, 4, 8, 16, len(data))) :] = other


MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(_flip, _flip, _set, _set, _number, _number, _number),
    *(_cut, _delete, _repeat, _splice, _another),
)
