"""One picture's bytes to the pixels the network takes, exactly as the reference features were made."""

import io
import warnings
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.pixels import bounds, colours, memory
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.bounds import MAX_FILE_BYTES, MAX_PIXELS, TooLargeError
from pipeline.pixels.colours import UnsupportedError
from pipeline.pixels.heif import FORMAT, decode_heif, is_heif
from pipeline.pixels.orientation import turn_of
from pipeline.settings import EXACT, FAST, STORED, UPRIGHT

# Pillow knows forty formats more. Some start another program (EPS: Ghostscript), some hold whole pictures of another
# size than they tell (ICO), and their decoders are seldom looked at: whoever names a file may choose none of them.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF")
# JPEGs may be decoded at an eighth, a quarter or half of their size by the decoder itself, which is several times
# faster: never below twice what is wanted, for nearly the same features (benchmarks/photos.md).
_OVERSIZE = 2
# The bound is ours, and Pillow's own stays as it is for whoever else uses it in this process.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def check_file(size: int) -> None:
    """Raise BadPictureError for a file of so many bytes that it is not even read."""
    if size > MAX_FILE_BYTES:
        raise BadPictureError(Reason.TOO_LARGE, f"{size} bytes, {MAX_FILE_BYTES} are allowed")


def decode(
    data: bytes,
    size: int,
    max_pixels: int = MAX_PIXELS,
    alive: Callable[[], None] = memory.nothing,
    orientation: str = UPRIGHT,
    way: str = EXACT,
) -> NDArray[np.uint8]:
    """sRGB pixels of shape (size, size, 3), 0..255, resized as Pillow does by default (bicubic).

    Scaling to -1..1 is left to the network. The picture is `upright` by EXIF, or as it is `stored`, which is the
    reference's way; it is turned once it is small. By the `fast` way a JPEG is read at a smaller scale of its own. See
    `colours` for what is not RGB. Of several frames or pages the first counts. `alive` is called again and again while
    a large picture waits for others of the host.

    Raises BadPictureError, whatever is in the data.
    """
    if not data:
        raise BadPictureError(Reason.EMPTY, "0 bytes")
    if is_heif(data):
        return decode_heif(data, size, max_pixels, alive)
    with _opened(data) as picture:
        try:
            needed = bounds.check(picture, data, size, max_pixels)
        except TooLargeError as error:
            raise BadPictureError(Reason.TOO_LARGE, str(error)) from None
        if way == FAST:
            _draft(picture, size)
        with memory.room_to_decode(needed, len(data), alive):
            try:
                return pixels_of(picture, size, orientation)
            finally:
                picture.close()  # its pixels go before its room does


def fast_scale(data: bytes, size: int) -> int:
    """The pixels of a picture that the `fast` way reads at a smaller scale; 0 of another. Raises BadPictureError."""
    with _opened(data) as picture:
        width, height = picture.size
        _draft(picture, size)
        return width * height if picture.size != (width, height) else 0


def _draft(picture: Image.Image, size: int) -> None:
    if isinstance(picture, JpegImageFile):
        picture.draft(None, (_OVERSIZE * size, _OVERSIZE * size))


def pixels_of(picture: Image.Image, size: int, orientation: str) -> NDArray[np.uint8]:
    """A picture that was opened, as `decode` gives it. Raises BadPictureError."""
    try:
        # Both before it is loaded, which a PNG is to tell its turn, and which would turn a TIFF.
        to_rgb = colours.conversion(picture)
        turn = turn_of(picture)
        picture.load()
        small = colours.to_srgb(_scaled(picture, to_rgb, size), picture)
        return np.asarray(small if turn is None or orientation == STORED else small.transpose(turn))
    except UnsupportedError as error:
        raise BadPictureError(Reason.UNSUPPORTED, str(error)) from None
    except MemoryError:
        width, height = picture.size
        raise BadPictureError(Reason.TOO_LARGE, f"{width} x {height} pixels do not fit in memory") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, zlib.error) as error:
        # Every decoder of Pillow reports missing or broken data its own way; the header was good.
        raise BadPictureError(Reason.TRUNCATED, str(error) or type(error).__name__) from None
    except Exception as error:  # a decoder's own fault is that picture's, and never the run's
        raise _undecodable(error) from None


def _scaled(picture: Image.Image, to_rgb: colours.Conversion, size: int) -> Image.Image:
    """RGB, the same to the bit as if it were converted whole and then resized, without a second whole picture.

    Where Pillow scales the width first and the height after it, strips are converted and scaled one by one.
    """
    if picture.mode == "RGB" and to_rgb is colours.plain:
        return picture.resize((size, size))
    width, height = picture.size
    is_narrowed = bounds.are_strips_the_same(width, height)
    whole = Image.new("RGB", (size if is_narrowed else width, height))
    rows = max(bounds.STRIP_BYTES // (4 * width), 1)
    for top in range(0, height, rows):
        strip = to_rgb(picture.crop((0, top, width, min(top + rows, height))))
        whole.paste(strip.resize((size, strip.height)) if is_narrowed else strip, (0, top))
    return whole.resize((size, size))


def _opened(data: bytes) -> Image.Image:
    try:
        bounds.check_header(data)
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if other := _other_format(data):
            allowed = ", ".join((*FORMATS, FORMAT))
            raise BadPictureError(Reason.UNSUPPORTED, f"{other}; {allowed} are taken") from None
        raise BadPictureError(Reason.NOT_AN_IMAGE, f"{len(data)} bytes, no known picture format") from None
    except (Image.DecompressionBombError, TooLargeError) as error:
        raise BadPictureError(Reason.TOO_LARGE, str(error)) from None
    except (OSError, ValueError, SyntaxError, OverflowError, zlib.error) as error:
        raise BadPictureError(Reason.NOT_AN_IMAGE, str(error)) from None
    except MemoryError:
        raise BadPictureError(Reason.TOO_LARGE, "its header alone does not fit in memory") from None
    except Exception as error:  # as below: a plugin's own fault while it reads a header
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
