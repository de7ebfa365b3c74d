"""Pictures as they come in real folders: odd ones that must work, and broken ones that must become error rows."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(mode: str = "RGB", size: tuple[int, int] = (100, 100), form: str = "JPEG") -> bytes:
    """A picture of noise in this mode, size (width, height) and format."""
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(sink, form)
    return sink.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int, colours: int = 2) -> bytes:
    """A PNG that claims this size and type of colours and has next to no data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


# What Pillow hands to Ghostscript, whatever the file's name.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
ODD = {
    "grey.jpg": encoded("L"),
    "cmyk.jpg": encoded("CMYK"),
    "palette.png": encoded("P", form="PNG"),
    "alpha.png": encoded("RGBA", form="PNG"),
    "one pixel.png": encoded(size=(1, 1), form="PNG"),
    "tall.jpg": encoded(size=(20, 900)),
    "UPPER.JPG": encoded(),
    "long.jpeg": encoded(),
    "na\u00efve caf\u00e9 100%.jpg": encoded(),
    'a#b=c+d&e,"f".jpg': encoded(),
}
BROKEN = {
    "truncated.jpg": (encoded()[:900], "truncated"),
    "empty.jpg": (b"", "empty"),
    "text.jpg": (b"these are words", "not an image"),
    "page.jpg": (b"<html><body>404</body></html>", "not an image"),
    "zeros.jpg": (bytes(4000), "not an image"),
    "wrong header.jpg": (b"\0\0\0\0" + encoded()[4:], "not an image"),
    "bomb.png": (png_header(60_000, 60_000), "too large"),
    "as wide as a slot, and nothing in it.png": (png_header(13_000, 13_000, colours=6), "truncated"),
    "a million rows.png": (png_header(20, 4_000_000, colours=0), "too large"),
    "a program.jpg": (EPS, "unsupported"),
    "icon.png": (encoded("RGBA", form="ICO"), "unsupported"),
}
NOT_LISTED = {"notes.txt": b"no picture", ".DS_Store": b"\0", "._grey.jpg": b"\0", "jpg": b"no suffix"}
