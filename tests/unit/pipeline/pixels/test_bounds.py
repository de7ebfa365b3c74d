"""pipeline.pixels.bounds: what would take gigabytes or minutes is refused at its header, an honest picture is not."""

import io
import time

import pytest
from PIL import Image

from pipeline.pixels import bounds
from pipeline.pixels.bad_pictures import BadPictureError, Reason
from pipeline.pixels.bounds import MAX_BYTES, TooLargeError
from pipeline.pixels.decode import decode
from tests.pictures import encoded
from tests.pictures_that_harm import HARMFUL, jpeg, saved, tiff_of_one_strip


@pytest.mark.parametrize("name", HARMFUL)
def test_a_small_file_that_would_take_gigabytes_or_minutes_is_refused_at_its_header(name: str) -> None:
    data = HARMFUL[name]()
    began = time.process_time()
    with pytest.raises(BadPictureError) as caught:
        decode(data, 224)
    assert caught.value.reason is Reason.TOO_LARGE
    # Decoded, the quickest of them takes some seconds of the processor.
    assert time.process_time() - began < 2


def needed(picture: Image.Image, form: str, **options: object) -> int:
    data = saved(picture, form, **options)
    with Image.open(io.BytesIO(data)) as opened:
        return bounds.check(opened, data, 224)


@pytest.mark.parametrize("megapixels", [12, 24, 48, 64])
def test_photos_as_cameras_and_phones_make_them_are_taken(megapixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    side = round((megapixels * 1e6) ** 0.5)
    # A phone's photo has a whole JPEG in its header, and another behind its end.
    thumbnail = b"Exif\0\0" + encoded()
    for options in ({}, {"exif": thumbnail}, {"progressive": True}):
        small = saved(Image.new("RGB", (64, 64)), "JPEG", **options)
        with Image.open(io.BytesIO(small)) as opened:
            monkeypatch.setattr(opened, "_size", (side, side))
            assert bounds.check(opened, small, 224) <= MAX_BYTES


def test_a_thumbnails_scans_are_not_the_pictures_own() -> None:
    plain = needed(Image.new("RGB", (640, 480)), "JPEG")
    assert needed(Image.new("RGB", (640, 480)), "JPEG", exif=b"Exif\0\0" + encoded()) == plain
    assert needed(Image.new("RGB", (640, 480)), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]) == plain
    assert needed(Image.new("RGB", (640, 480)), "JPEG", progressive=True) == plain + 6 * 640 * 480


def test_a_picture_of_several_small_scans_is_decoded() -> None:
    assert decode(jpeg(64, 64, 3), 32).shape == (32, 32, 3)
    assert decode(tiff_of_one_strip(64, orientation=6), 32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "data", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0+" + b"\xff" * 30, b"\xff\xd8\xff"]
)
def test_a_torn_header_is_left_to_pillow(data: bytes) -> None:
    bounds.check_header(data)


def test_too_many_strips_are_refused_in_either_order_of_bytes() -> None:
    little = b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\x00\x00\x10\x00\0\0\0\0"
    big = b"MM\0*\0\0\0\x08\0\x01\x01\x44\0\x04\x00\x10\x00\x00\0\0\0\0"
    for data in (little, big):
        with pytest.raises(TooLargeError, match="a TIFF of 1048576 strips or tiles, 100000 are allowed"):
            bounds.check_header(data)
