"""pipeline.pictures.decode."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures.decode import BadPictureError, Reason, decode, read_failure
from tests.pictures import BROKEN, ODD, encoded


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_becomes_rgb_pixels_of_the_size_asked_for(name: str) -> None:
    pixels = decode(ODD[name], 224)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8


def test_pixels_are_those_of_pillow_s_default_resize() -> None:
    data = encoded()
    reference = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224)))
    assert np.array_equal(decode(data, 224), reference)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_refused_with_its_reason(name: str) -> None:
    data, reason = BROKEN[name]
    with pytest.raises(BadPictureError) as caught:
        decode(data, 224)
    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize("length", [20, 50, 200, 600, 1500])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_cut_anywhere_is_a_bad_picture_and_no_other_error(form: str, length: int) -> None:
    with pytest.raises(BadPictureError):
        decode(encoded(form=form)[:length], 64)


def test_a_file_that_is_gone_has_vanished_and_one_without_permission_is_unreadable() -> None:
    assert read_failure(FileNotFoundError(2, "No such file")).reason is Reason.VANISHED
    assert read_failure(PermissionError(13, "Permission denied")).reason is Reason.UNREADABLE
