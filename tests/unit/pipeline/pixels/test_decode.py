"""pipeline.pixels.decode."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from pipeline.pixels import bounds, memory
from pipeline.pixels import decode as decoding
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.bounds import MAX_FILE_BYTES, MAX_PIXELS
from pipeline.pixels.decode import FORMATS, check_file, decode
from tests.pictures import BROKEN, EPS, ODD, encoded
from tests.unit.pipeline.pixels.test_memory import waiting
from tests.waiting import wait_until


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
@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_cut_anywhere_is_a_bad_picture_and_no_other_error(form: str, length: int) -> None:
    with pytest.raises(BadPictureError):
        decode(encoded(form=form)[:length], 64)


def reason_of(data: bytes) -> tuple[str, str]:
    with pytest.raises(BadPictureError) as caught:
        decode(data, 224)
    return caught.value.reason.value, caught.value.detail


def test_a_format_that_is_not_taken_is_named_and_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\n: > {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    assert reason_of(EPS) == ("unsupported", "EPS; JPEG, PNG, BMP, GIF, WEBP, TIFF, AVIF, HEIF are taken")
    assert not (tmp_path / "started").exists()
    # As it would have been: the file's name says nothing to Pillow.
    with pytest.raises((OSError, Image.UnidentifiedImageError)):
        Image.open(io.BytesIO(EPS)).load()
    assert (tmp_path / "started").exists()


@pytest.mark.parametrize("error", [NotImplementedError("no"), KeyError(7), AssertionError(), ZeroDivisionError("x")])
def test_whatever_a_decoder_raises_is_that_pictures_row(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fails)
    reason, detail = reason_of(encoded())
    assert reason == "undecodable"
    assert detail.startswith(type(error).__name__)
    monkeypatch.setattr(Image, "open", fails)
    assert reason_of(encoded())[0] == "undecodable"


def test_a_header_that_does_not_fit_in_memory_is_that_pictures_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fails)
    assert reason_of(encoded())[0] == "too large"


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *((mode, "PNG") for mode in ("RGB", "RGBA", "P", "L", "LA", "1", "I;16")),
        *((mode, "TIFF") for mode in ("RGBA", "CMYK", "I;16", "YCbCr")),
        *(("CMYK", "JPEG"), ("L", "JPEG"), ("P", "GIF"), ("P", "BMP"), ("RGBA", "WEBP")),
    ],
)
@pytest.mark.parametrize("size", [(301, 207), (300, 300), (300, 64), (70, 20), (20, 301), (301, 1)])
def test_strips_become_the_same_pixels_to_the_bit_as_the_whole(
    mode: str, form: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 4), np.uint8)
    picture = Image.fromarray(noise)
    if mode != "RGBA":
        picture = picture.convert("L" if mode in ("LA", "I;16", "F") else "RGB").convert(mode)
    sink = io.BytesIO()
    picture.save(sink, form)
    if mode in ("RGB", "L", "P", "1", "CMYK", "YCbCr"):
        whole = np.asarray(Image.open(io.BytesIO(sink.getvalue())).convert("RGB").resize((64, 64)))
    else:
        monkeypatch.setattr(bounds, "STRIP_BYTES", size[0] * size[1] * 4)
        whole = decode(sink.getvalue(), 64)
    for strip in (1, 10_000):
        monkeypatch.setattr(bounds, "STRIP_BYTES", strip)
        assert np.array_equal(decode(sink.getvalue(), 64), whole)


def test_a_picture_is_decoded_once_there_is_room_for_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, room = Event(), memory._decoders
    monkeypatch.setattr(decoding, "pixels_of", lambda *_: begun.set())
    monkeypatch.setattr(bounds, "check", lambda *_: memory.MIB)
    with ThreadPoolExecutor(1) as pool:
        with room.taken(memory.DECODERS_BYTES - memory.MIB):
            pool.submit(decode, encoded(), 224).result()
        assert begun.is_set()
        begun.clear()
        with room.taken(memory.DECODERS_BYTES - memory.MIB + 1):
            second = pool.submit(decode, encoded(), 224)
            wait_until(lambda: begun.is_set() or waiting(room), "a decoder that begins or waits")
            assert not begun.is_set()
        second.result()
        assert begun.is_set()


def test_an_error_row_holds_nothing_of_its_picture() -> None:
    with pytest.raises(BadPictureError) as caught:
        decode(encoded()[:900], 224)
    kept = caught.value.kept()
    assert (kept.reason, kept.detail) == (caught.value.reason, caught.value.detail)
    assert kept.__traceback__ is None
    assert kept.__context__ is None


def test_a_file_of_gigabytes_is_not_even_read() -> None:
    check_file(MAX_FILE_BYTES)
    with pytest.raises(BadPictureError, match="268435457 bytes, 268435456 are allowed"):
        check_file(MAX_FILE_BYTES + 1)


def test_the_bound_on_pixels_is_an_argument_and_pillows_own_is_as_it_was() -> None:
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS // 2
    with pytest.raises(BadPictureError, match="100 x 100 pixels, 9999 are allowed"):
        decode(encoded(), 224, 9999)


def test_a_progressive_picture_of_a_thousand_scans_is_refused_before_it_takes_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = io.BytesIO()
    Image.new("L", (3000, 3000), 255).save(sink, "JPEG", progressive=True)
    data = sink.getvalue()
    assert decode(data, 224).shape == (224, 224, 3)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    bomb = data[:-2] + last_scan * 1000 + data[-2:]
    assert reason_of(bomb)[0] == "too large"
    assert reason_of(bomb)[1].startswith("3000 x 3000 pixels, gone over until they are 9054000000, ")


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG", "WEBP", "MPO"])
def test_of_several_frames_the_first_counts(form: str) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    sink = io.BytesIO()
    frames[0].save(sink, form, save_all=True, append_images=frames[1:])
    red, _, blue = decode(sink.getvalue(), 64)[32, 32]
    assert red > 240
    assert blue < 15


def photo(width: int, height: int, form: str = "JPEG") -> bytes:
    """A picture with large forms and fine grain, as a photo has."""
    rng = np.random.default_rng(7)
    forms = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((width, height))
    grain = rng.integers(-6, 7, (height, width, 1))
    sink = io.BytesIO()
    Image.fromarray((np.asarray(forms) + grain).clip(0, 255).astype(np.uint8)).save(sink, form)
    return sink.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "MPO"])
def test_the_fast_way_reads_a_jpeg_at_a_smaller_scale_and_shows_nearly_the_same(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photo(1000, 760, form)
    sizes = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda picture: (sizes.append(picture.size), load(picture))[1])
    exact, fast = (decode(data, 64, way=way).astype(int) for way in ("exact", "fast"))
    # A quarter: an eighth would be below twice the size that is wanted.
    assert list(dict.fromkeys(sizes)) == [(1000, 760), (250, 190)]
    assert 0 < np.abs(exact - fast).mean() < 1


@pytest.mark.parametrize("side", [100, 127, 255])
def test_by_the_fast_way_a_picture_below_the_first_scale_is_the_same_to_the_bit(side: int) -> None:
    data = photo(side, 600)
    assert np.array_equal(decode(data, 64, way="fast"), decode(data, 64))


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "JPEG"])
def test_the_fast_way_leaves_other_formats_exact(form: str) -> None:
    data = photo(600, 600, form)
    assert np.array_equal(decode(data, 64, way="fast"), decode(data, 64))


def test_a_motion_photo_is_its_picture_whatever_film_lies_behind_it() -> None:
    data = photo(600, 400)
    film = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + np.random.default_rng(4).bytes(50_000)
    for way in ("exact", "fast"):
        assert np.array_equal(decode(data + film, 64, way=way), decode(data, 64, way=way))


def test_a_panorama_of_a_hundred_megapixels_is_a_picture_like_any_other() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (25_000, 4_000), (40, 200, 90)).save(sink, "JPEG")
    for way in ("exact", "fast"):
        assert np.abs(decode(sink.getvalue(), 64, way=way).astype(int) - (40, 200, 90)).max() <= 2


def test_an_upload_that_a_phone_has_broken_off_is_a_row_by_either_way() -> None:
    data = photo(1000, 760)
    for way in ("exact", "fast"):
        with pytest.raises(BadPictureError) as caught:
            decode(data[: len(data) * 2 // 3], 64, way=way)
        assert caught.value.reason.value == "truncated"
