"""pipeline.pixels.orientation: one picture, stored in each of the eight ways that EXIF knows."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.pixels.decode import decode

ORIENTATION = 274


def corners() -> Image.Image:
    """Four colours, one a quarter: no turn of it is another."""
    quarters = np.array([[(250, 10, 10), (10, 250, 10)], [(10, 10, 250), (250, 250, 250)]], np.uint8)
    return Image.fromarray(quarters.repeat(64, axis=0).repeat(64, axis=1))


def stored(picture: Image.Image, form: str, orientation: int | None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    sink = io.BytesIO()
    picture.save(sink, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    return sink.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_as_a_viewer_shows_it(form: str, orientation: int) -> None:
    data = stored(corners(), form, orientation)
    viewed = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    wanted = np.asarray(viewed.resize((32, 32))).astype(int)
    assert np.abs(decode(data, 32).astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [None, 1, 6])
def test_as_it_is_stored_no_bit_depends_on_what_exif_says(form: str, orientation: int | None) -> None:
    plain, told = stored(corners(), form, None), stored(corners(), form, orientation)
    assert np.array_equal(decode(told, 32, orientation="stored"), decode(plain, 32))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_a_turn_that_exif_does_not_know_is_none(orientation: int) -> None:
    assert np.array_equal(
        decode(stored(corners(), "JPEG", orientation), 32), decode(stored(corners(), "JPEG", None), 32)
    )


def test_an_exif_that_cannot_be_read_turns_nothing() -> None:
    data = stored(corners(), "JPEG", 6)
    broken = data.replace(b"Exif\0\0MM", b"Exif\0\0XX").replace(b"Exif\0\0II", b"Exif\0\0XX")
    assert broken != data
    assert np.array_equal(decode(broken, 32), decode(stored(corners(), "JPEG", None), 32))
