"""One picture's bytes to the pixels the network takes, exactly as the reference features were made."""

import io
import zlib
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# 178,956,970 pixels, twice Pillow's warning level: what Pillow itself calls a decompression bomb.
MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)
Image.MAX_IMAGE_PIXELS = None  # the bound is enforced below, before any pixel is decoded


class Reason(StrEnum):
    """Why a picture has no features."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not an image"
    TRUNCATED = "truncated"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"


class BadPictureError(Exception):
    """A picture that becomes an error row: a reason of the fixed set and the detail in words."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def decode(data: bytes, size: int) -> NDArray[np.uint8]:
    """RGB pixels of shape (size, size, 3), 0..255, resized as Pillow does by default (bicubic).

    Scaling to -1..1 is left to the network. EXIF rotation is not applied, as in the reference.
    Raises BadPictureError.
    """
    if not data:
        raise BadPictureError(Reason.EMPTY, "0 bytes")
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise BadPictureError(Reason.NOT_AN_IMAGE, f"{len(data)} bytes, no known picture format") from None
    except (OSError, ValueError, SyntaxError, OverflowError, zlib.error) as error:
        raise BadPictureError(Reason.NOT_AN_IMAGE, str(error)) from None
    with picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels, {MAX_PIXELS} are allowed")
        try:
            return np.asarray(picture.convert("RGB").resize((size, size)))
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, zlib.error) as error:
            # Every decoder of Pillow reports missing or broken data its own way; the header was good.
            raise BadPictureError(Reason.TRUNCATED, str(error) or type(error).__name__) from None
        except MemoryError:
            raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels do not fit in memory") from None


def read_failure(error: OSError) -> BadPictureError:
    """The error row for a picture whose bytes could not be had."""
    if isinstance(error, FileNotFoundError):
        return BadPictureError(Reason.VANISHED, "listed, but no longer there")
    return BadPictureError(Reason.UNREADABLE, error.strerror or str(error))
