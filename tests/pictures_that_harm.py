"""Small files that took gigabytes or minutes to decode before `pipeline.pixels.bounds` knew of them."""

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.pictures import png_header

FLAT = b"\0" * 1_000_000
BITS = struct.pack("<HHH", 8, 8, 8)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, form, **options)
    return sink.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(width: int, height: int, scans: int, frame: int = 0xC0) -> bytes:
    """A JPEG of three channels whose scans take one channel each, with next to no data in them."""
    small = saved(Image.new("RGB", (16, 16)), "JPEG", subsampling=0)
    tables, at = b"", 2
    while small[at + 1] != 0xDA:
        length = 2 + int.from_bytes(small[at + 2 : at + 4], "big")
        tables += small[at : at + length] if small[at + 1] in (0xDB, 0xC4) else b""
        at += length
    channels = b"".join(bytes([number + 1, 0x11, min(number, 1)]) for number in range(3))
    head = segment(frame, struct.pack(">BHHB", 8, height, width, 3) + channels)
    each = (
        segment(0xDA, bytes([1, number % 3 + 1, 0x11 if number % 3 else 0, 0, 63, 0])) + b"\0"
        for number in range(scans)
    )
    return b"\xff\xd8" + tables + head + b"".join(each) + b"\xff\xd9"


def deflated(size: int) -> bytes:
    packer = zlib.compressobj(9)
    whole = [packer.compress(FLAT[: min(len(FLAT), size - at)]) for at in range(0, size, len(FLAT))]
    return b"".join(whole) + packer.flush()


def tiff(
    width: int, height: int, more: list[tuple[int, int, int, object]], blobs: list[bytes], packing: int = 8
) -> bytes:
    """A TIFF with these tags: number, type, count and value, which is a number or the place of a blob."""
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, "0"), (259, 3, 1, packing)),
        *((262, 3, 1, 2), (277, 3, 1, 3), (284, 3, 1, 1), *more),
    ]
    place, places = 8 + 2 + 12 * len(tags) + 4, []
    for blob in [BITS, *blobs]:
        places.append(place)
        place += len(blob)
    entries = b""
    for tag, kind, count, value in sorted(tags, key=lambda entry: entry[0]):
        number = places[int(value)] if isinstance(value, str) else value
        packed = struct.pack("<HH", number, 0) if (kind, count) == (3, 1) else struct.pack("<I", number)
        entries += struct.pack("<HHI", tag, kind, count) + packed
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + struct.pack("<I", 0) + BITS + b"".join(blobs)


def tiff_of_one_strip(side: int, orientation: int = 1) -> bytes:
    data = deflated(side * side * 3)
    tags = [(273, 4, 1, "1"), (278, 4, 1, side), (279, 4, 1, len(data)), (274, 3, 1, orientation)]
    return tiff(side, side, tags, [data])


def tiff_of_a_huge_tile() -> bytes:
    data = deflated(20_000 * 20_000 * 3)
    return tiff(1, 1, [(322, 4, 1, 20_000), (323, 4, 1, 20_000), (324, 4, 1, "1"), (325, 4, 1, len(data))], [data])


def tiff_of_many_tiles(count: int = 10_000) -> bytes:
    data = deflated(60_000 * 16 * 3)
    sizes = struct.pack("<I", len(data)) * count
    tags = [(322, 4, 1, 60_000), (323, 4, 1, 16), (324, 4, count, "1"), (325, 4, count, "2")]
    return tiff(1, count * 16, tags, [struct.pack("<I", 200) * count, sizes, data])


def tiff_of_many_strips(count: int = 3_000_000) -> bytes:
    return tiff(10, 10, [(273, 1, count, "1"), (279, 4, 1, 300)], [bytes(count)], packing=1)


def bmp_of_short_rows(width: int, height: int) -> bytes:
    palette, rows = b"\0\0\0\0\xff\xff\xff\0", b"\1\1\0\0" * height
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 62 + len(rows), 0, 0, 62) + head + palette + rows


# The name of each, and what makes it: several take a moment to make.
HARMFUL: dict[str, Callable[[], bytes]] = {
    "a PNG of one row": lambda: png_header(147_000_000, 1, colours=0),
    "a PNG of four million rows": lambda: png_header(20, 4_000_000, colours=0),
    "a JPEG of three scans": lambda: jpeg(13_000, 13_000, 3),
    "a JPEG of three thousand scans": lambda: jpeg(6_000, 6_000, 3_000),
    "an arithmetic JPEG of many scans": lambda: jpeg(7_000, 7_000, 15, frame=0xC9),
    "a TIFF of one strip": lambda: tiff_of_one_strip(13_000),
    "a TIFF of one pixel and a huge tile": tiff_of_a_huge_tile,
    "a TIFF of many tiles outside of it": tiff_of_many_tiles,
    "a TIFF of three million strips": tiff_of_many_strips,
    "a BMP of short rows": lambda: bmp_of_short_rows(75_000, 2_000),
}
