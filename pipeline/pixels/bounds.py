"""What a picture would take to decode, told by its header before anything is: pixels, memory, passes over them.

A file's size says nothing: 58 KB of PNG may be 60 million pixels, 626 bytes of JPEG need 1.6 GiB, 8 KB of BMP half a
minute. Each bound has a case in tests/unit/pipeline/pictures/test_bounds.py that was seen past it.
"""

import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image

# 178,956,970 pixels, twice Pillow's warning level: what Pillow itself calls a decompression bomb.
MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)
# What one picture may take while it is decoded: the memory of a worker's slot (Ansible's spark_python_memory_mb).
MAX_BYTES = 768 * 1024 * 1024
# A larger file is not read.
MAX_FILE_BYTES = 256 * 1024 * 1024
# Pixels gone over in all, where a decoder goes over them several times: some seconds on one core.
MAX_SCANNED_PIXELS = 2_000_000_000
# The same by Pillow's decoder of run-length BMP, which is Python, and for arithmetic JPEGs: 6 and 60 million a second.
MAX_RLE_PIXELS = 16_000_000
ARITHMETIC_SLOWER = 4
# What of a picture is made RGB at once.
STRIP_BYTES = 8 * 1024 * 1024
# Strips or tiles of a TIFF: Pillow makes a list of them as it opens the file.
MAX_PIECES = 100_000

# A pixel as Pillow keeps it, and what a decoder takes beside it, measured on 24 megapixels (Pillow 13.0).
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_DECODERS_BYTES = {"WEBP": 13, "AVIF": 8, "GIF": 1}
# HEVC's planes, the same as RGB, and Pillow's own copy, measured on 12 megapixels (libheif 1.23.6, libde265 1.1.3).
_HEIF_BYTES = 12
# A JPEG's coefficients where it comes in several scans, two bytes for each of its channels.
_COEFFICIENTS_BYTES = {"L": 2, "RGB": 6}
_START_OF_SCAN, _END = 0xDA, b"\xff\xd9"
_PROGRESSIVE, _ARITHMETIC = {0xC2, 0xCA}, {0xC9, 0xCA}
_OFFSETS, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLES, BITS = 273, 278, 322, 323, 277, 258
_TILE_OFFSETS = 324


class TooLargeError(Exception):
    """A picture that would take more than one has."""


@dataclass(frozen=True)
class _Scans:
    """The scans of a JPEG: how many, whether coefficients of the whole picture are kept from one to the next."""

    count: int = 1
    are_kept: bool = False
    are_arithmetic: bool = False


def check_header(data: bytes) -> None:
    """Raise TooLargeError for what is too much for Pillow to even open."""
    pieces = _tiff_pieces(data)
    if pieces > MAX_PIECES:
        raise TooLargeError(f"a TIFF of {pieces} strips or tiles, {MAX_PIECES} are allowed")


def check(picture: Image.Image, data: bytes, size: int, max_pixels: int = MAX_PIXELS) -> int:
    """The bytes that decoding the picture and scaling it to `size` takes. Raises TooLargeError for too many."""
    width, height = picture.size
    shape = f"{width} x {height} pixels"
    if width * height > max_pixels:
        raise TooLargeError(f"{shape}, {max_pixels} are allowed")
    scans = _scans_of(data) if picture.format in ("JPEG", "MPO") else None
    if (needed := _bytes(picture, scans, size)) > MAX_BYTES:
        raise TooLargeError(f"{shape} of {picture.mode}: {needed >> 20} MiB to decode, {MAX_BYTES >> 20} are allowed")
    if (scanned := _scanned_pixels(picture, scans)) > MAX_SCANNED_PIXELS:
        raise TooLargeError(f"{shape}, gone over until they are {scanned}, {MAX_SCANNED_PIXELS} are allowed")
    return needed


def check_heif(shape: tuple[int, int], max_pixels: int = MAX_PIXELS) -> int:
    """The same of a HEIC whose header tells this width and height: its decoder is held to what this gives."""
    width, height = shape
    if width * height > max_pixels:
        raise TooLargeError(f"{width} x {height} pixels, {max_pixels} are allowed")
    if (needed := width * height * _HEIF_BYTES) > MAX_BYTES:
        raise TooLargeError(
            f"{width} x {height} pixels of HEIC: {needed >> 20} MiB to decode, {MAX_BYTES >> 20} are allowed"
        )
    return needed


def _bytes(picture: Image.Image, scans: _Scans | None, size: int) -> int:
    width, height = picture.size
    stored = _STORED_BYTES.get(picture.mode, 4)
    each = stored + _DECODERS_BYTES.get(picture.format or "", 0)
    if scans and scans.are_kept:
        each += _COEFFICIENTS_BYTES.get(picture.mode, 8)
    converted = 0
    if picture.mode != "RGB":
        # Strip by strip, in three copies at most; and all of it as RGB where it is scaled whole.
        strips = min(max(STRIP_BYTES, width * 4), width * height * 4)
        converted = 3 * strips + (0 if are_strips_the_same(width, height) else width * height * 4)
    # Pillow scales the width first, by a table of its columns: of two million rows there are then as many, each as wide
    # as it will be.
    return width * height * each + converted + size * height * 4 + width * 32 + _piece_bytes(picture)


def are_strips_the_same(width: int, height: int) -> bool:
    """Whether Pillow scales such a picture's width first, so that its strips may be scaled one by one to the bit."""
    return width >= height


def _scanned_pixels(picture: Image.Image, scans: _Scans | None) -> int:
    width, height = picture.size
    if scans:
        return width * height * scans.count * (ARITHMETIC_SLOWER if scans.are_arithmetic else 1)
    if any(tile[0] == "bmp_rle" for tile in getattr(picture, "tile", ())):
        return width * height * (MAX_SCANNED_PIXELS // MAX_RLE_PIXELS)
    if picture.format == "TIFF":
        pieces = max(len(_all(picture, _OFFSETS)), len(_all(picture, _TILE_OFFSETS)), 1)
        across, down = _piece(picture)
        return pieces * across * down
    return 0


def _scans_of(data: bytes) -> _Scans:
    """Of the first picture in the data, past what its segments hold: a thumbnail there has scans of its own."""
    at, frame, channels = 2, 0, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _START_OF_SCAN:
            # Within a scan 0xff is followed by a zero or a restart, so these are markers; a torn one goes to the last.
            count = data.count(scan := bytes([0xFF, _START_OF_SCAN]), at)
            if count > 1:  # some may be another picture's, behind this one's end
                count = data.count(scan, at, data.find(_END, at) % (len(data) + 1))
            is_whole = count == 1 and data[at + 4 : at + 5] >= bytes([channels])
            return _Scans(count, frame in _PROGRESSIVE or not is_whole, frame in _ARITHMETIC)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, channels = marker, (data[at + 9 : at + 10] or b"\0")[0]
        # A fill byte, or a segment with its length.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _Scans()


def _piece(picture: Image.Image) -> tuple[int, int]:
    """Width and height of a TIFF's tile or strip: what libtiff decodes at once, whatever of it is in the picture."""
    width, height = picture.size
    tile = tag(picture, _TILE_WIDTH, 0), tag(picture, _TILE_HEIGHT, 0)
    return tile if all(tile) else (width, min(tag(picture, _ROWS, height), height))


def _piece_bytes(picture: Image.Image) -> int:
    if picture.format != "TIFF":
        return 0
    across, down = _piece(picture)
    return across * down * max(tag(picture, _SAMPLES, 1), 1) * max(tag(picture, BITS, 8), 8) // 8


def _all(picture: Image.Image, tag: int) -> tuple[Any, ...]:
    tags = getattr(picture, "tag_v2", None)
    value = None if tags is None else tags.get(tag)
    return value if isinstance(value, tuple) else () if value is None else (value,)


def tag(picture: Image.Image, tag: int, default: int) -> int:
    """A TIFF's tag as a number, whatever somebody wrote in its place."""
    if picture.format != "TIFF":
        return default
    value = next(iter(_all(picture, tag)), None)
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**40 else default


def _tiff_pieces(data: bytes) -> int:
    """How many strips or tiles a TIFF's first directory tells (TIFF 6.0, section 2; BigTIFF); 0 for another file."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    try:
        (magic,) = struct.unpack_from(f"{order}H", data, 2) if order else (0,)
        if magic == 42:
            (at,) = struct.unpack_from(f"{order}I", data, 4)
            (entries,), at, form = struct.unpack_from(f"{order}H", data, at), at + 2, f"{order}HHI4x"
        elif magic == 43:
            (at,) = struct.unpack_from(f"{order}Q", data, 8)
            (entries,), at, form = struct.unpack_from(f"{order}Q", data, at), at + 8, f"{order}HHQ8x"
        else:
            return 0
        told = (
            struct.unpack_from(form, data, at + number * struct.calcsize(form)) for number in range(min(entries, 4096))
        )
        return max((count for tag, _, count in told if tag in (_OFFSETS, _TILE_OFFSETS)), default=0)
    except (struct.error, OverflowError):
        return 0  # torn: Pillow says so itself
