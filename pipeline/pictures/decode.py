"""One picture's bytes to the pixels the network takes, exactly as the reference features were made."""

import io
import warnings
import zlib
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Pillow knows forty formats more. Some start another program (EPS: Ghostscript), some hold whole pictures of another
# size than they tell (ICO), and their decoders are seldom looked at: whoever names a file may choose none of them.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF")
# 178,956,970 pixels, twice Pillow's warning level: what Pillow itself calls a decompression bomb.
MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)
# What one picture may take while it is decoded: the memory of a worker's slot (Ansible's spark_python_memory_mb).
MAX_BYTES = 768 * 1024 * 1024
# A pixel as Pillow keeps it, and what a decoder takes beside it, measured on 24 megapixels (Pillow 13.0).
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_DECODERS_BYTES = {"WEBP": 13, "AVIF": 8}
# A progressive JPEG's coefficients, two bytes for each of its channels.
_PROGRESSIVE_BYTES = {"L": 2, "RGB": 6}
# Each scan of a progressive JPEG goes over all pixels again: these take seconds, as an honest 178 megapixels in ten do.
MAX_SCANNED_PIXELS = 2_000_000_000
_START_OF_SCAN = b"\xff\xda"
# The bound is ours, and Pillow's own stays as it is for whoever else uses it in this process.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Reason(StrEnum):
    """Why a picture has no features."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not an image"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"


class BadPictureError(Exception):
    """A picture that becomes an error row: a reason of the fixed set and the detail in words."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def decode(data: bytes, size: int, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """RGB pixels of shape (size, size, 3), 0..255, resized as Pillow does by default (bicubic).

    Scaling to -1..1 is left to the network. EXIF rotation is not applied, as in the reference; of several frames or
    pages the first counts. Raises BadPictureError, whatever is in the data.
    """
    if not data:
        raise BadPictureError(Reason.EMPTY, "0 bytes")
    with _opened(data) as picture:
        _check_size(picture, data, size, max_pixels)
        try:
            rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
            return np.asarray(rgb.resize((size, size)))
        except MemoryError:
            width, height = picture.size
            raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels do not fit in memory") from None
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, zlib.error) as error:
            # Every decoder of Pillow reports missing or broken data its own way; the header was good.
            raise BadPictureError(Reason.TRUNCATED, str(error) or type(error).__name__) from None
        except Exception as error:  # a decoder's own fault is that picture's, and never the run's
            raise _undecodable(error) from None


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if other := _other_format(data):
            allowed = ", ".join(FORMATS)
            raise BadPictureError(Reason.UNSUPPORTED, f"{other}; {allowed} are taken") from None
        raise BadPictureError(Reason.NOT_AN_IMAGE, f"{len(data)} bytes, no known picture format") from None
    except Image.DecompressionBombError as error:
        raise BadPictureError(Reason.TOO_LARGE, str(error)) from None
    except (OSError, ValueError, SyntaxError, OverflowError, zlib.error) as error:
        raise BadPictureError(Reason.NOT_AN_IMAGE, str(error)) from None
    except MemoryError:
        raise
    except Exception as error:
        raise _undecodable(error) from None


def _undecodable(error: Exception) -> BadPictureError:
    return BadPictureError(Reason.UNDECODABLE, f"{type(error).__name__}: {error}".rstrip(": "))


def _other_format(data: bytes) -> str:
    """The name of a format that Pillow knows and this refuses, by its first bytes alone; empty for none."""
    for name, (_, accept) in Image.OPEN.items():
        if accept is None:
            continue
        try:
            # In words: it would be one of ours, which this Pillow was built without.
            accepts = accept(data[:16])
        except Exception:  # noqa: S112  # a test of first bytes that fails says no
            continue
        if accepts and (name not in FORMATS or isinstance(accepts, str)):
            return name
    return ""


def _check_size(picture: Image.Image, data: bytes, size: int, max_pixels: int) -> None:
    """Raise BadPictureError for what would take more pixels, memory or time than one picture has, before it does."""
    width, height = picture.size
    pixels = width * height
    if pixels > max_pixels:
        raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels, {max_pixels} are allowed")
    is_progressive = "progressive" in picture.info
    each = _STORED_BYTES.get(picture.mode, 4) + (0 if picture.mode == "RGB" else 4)
    each += _DECODERS_BYTES.get(picture.format or "", 0) + (
        _PROGRESSIVE_BYTES.get(picture.mode, 8) if is_progressive else 0
    )
    # Pillow scales the width first: a picture of two million rows is then as wide as it will be, and as high as it was.
    needed_bytes = pixels * each + size * height * 4
    if needed_bytes > MAX_BYTES:
        needed = f"{needed_bytes // 2**20} MiB to decode, {MAX_BYTES // 2**20} are allowed"
        raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels of {picture.mode}: {needed}")
    if is_progressive and pixels * (scans := data.count(_START_OF_SCAN)) > MAX_SCANNED_PIXELS:
        raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels in {scans} scans")


def read_failure(error: OSError) -> BadPictureError:
    """The error row for a picture whose bytes could not be had."""
    if isinstance(error, FileNotFoundError):
        return BadPictureError(Reason.VANISHED, "listed, but no longer there")
    return BadPictureError(Reason.UNREADABLE, error.strerror or str(error))
