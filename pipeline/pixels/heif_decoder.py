"""The process that `heif` has decode: pictures on its standard input, their pixels or what is wrong on its output."""

import io
import resource
import sys
from contextlib import suppress
from pathlib import Path

from PIL import Image
from pillow_heif import register_heif_opener

from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.decode import pixels_of
from pipeline.pixels.heif import ANSWERED, ASKED, BAD, FORMAT, PIXELS
from pipeline.settings import STORED

# What the interpreter and the threads' stacks may come to beside a picture.
SLACK_BYTES = 96 * 1024 * 1024


def main() -> None:
    """Serve until the input ends."""
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    before = _data_bytes()
    while head := sys.stdin.buffer.read(ASKED.size):
        length, size, needed = ASKED.unpack(head)
        _bound(before + 2 * length + needed + SLACK_BYTES)
        status, content = _answer(sys.stdin.buffer.read(length), size)
        sys.stdout.buffer.write(ANSWERED.pack(status, len(content)) + content)
        sys.stdout.buffer.flush()


def _answer(data: bytes, size: int) -> tuple[int, bytes]:
    try:
        with Image.open(io.BytesIO(data), formats=[FORMAT]) as picture:
            return PIXELS, pixels_of(picture, size, STORED).tobytes()
    except BadPictureError as error:
        reason, detail = error.reason, error.detail
    except MemoryError:
        reason, detail = Reason.TOO_LARGE, "it takes more memory than its header tells"
    except Exception as error:  # a decoder's own fault is that picture's
        reason, detail = Reason.TRUNCATED, str(error) or type(error).__name__
    return BAD, f"{reason}\n{detail}".encode(errors="replace")


def _data_bytes() -> int:
    """Private memory that this process has, as RLIMIT_DATA counts it; none where the kernel does not say."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmData")).split()[1]) * 1024
    return 0


def _bound(size: int) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    main()
