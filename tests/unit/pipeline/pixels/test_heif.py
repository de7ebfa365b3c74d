"""pipeline.pixels.heif: HEIC is decoded like any other picture, and what is wrong with it harms nobody."""

import base64
import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from pipeline.pixels import heif
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.decode import decode
from pipeline.pixels.heif import is_heif
from tests.unit.pipeline.pixels.test_orientation import ORIENTATION, corners

register_heif_opener()
# `Image.new("RGB", (5000, 5000)).save(file, "HEIF", quality=1)`, which takes x265 half a minute.
BLACK = zlib.decompress(
    base64.b85decode(
        "c-muNV30{GsVvAy%}izhg51nBLl8SRGck>UfiW^SwIq=N0u(b+a*CjAhJwuG5(YG&l$nzcHpIn&fe{FSfUy=rGcbt1020cXnR#ho"
        "E=W`q$Vp{_@-oVj4M9x4g3OX!xRRTh1w{owdRJyaaz2o*1}bxAWCjUM04v(^f#J{JA3qov_?Z)cIwTwzc^Loy2Pt3%sbB`7ExVW;"
        "5`mI>PK=CbG7A{ycrf^>PJ894xh{`MiiZOvdICgnI3xkJu)8oGEZUId0JKRsIX|Z;FFB_ID9p>i)&LX|$t*5Ng?LZ61A-X@3NkA)"
        "K_bi?92_8jXBOnbLJ$}zER9UeEI`o@xhaXj02F_s!ML7PKz-g>&dbZr&NhnKS@iVuRIQMeK})?zrW*b-@_PQiKJ|lt>mi2^oD%~Y"
        "px&euNljSP_)AW8X9bnaV`dbeEcWyRwM=7RjBlr!SwO`6jhd!0##7TYc>`*i_Pv3MrZJmQ&oIsz)H6%y0`<(&SD>C*kq*=|tL6ap"
        "%=%2dM8W7xJ)=HT%_yc@)GI2^QOzip5ULr)x`k>+vE@+BC=L&*8AZk7fxClhM)BUDno;~zG>U4qHiJ+B^^Brkp)5?jDp4$eYDP(H"
        "pq{I!7gpj1gVHF0!Dy6Jz^GB9Mp54=$%0X%MvWRZYSgGvqehJyHEPtTQKJT_QPdf3dIkWyqq(>"
    )
)


def photo(orientation: int | None = None, form: str = "HEIF", **options: object) -> bytes:
    picture = corners()
    if orientation is not None:
        picture.getexif()[ORIENTATION] = orientation
    sink = io.BytesIO()
    picture.save(sink, form, exif=picture.getexif().tobytes(), **{"quality": 90, **options})
    return sink.getvalue()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return photo()


@pytest.fixture(autouse=True)
def no_decoder() -> Iterator[None]:
    """Each test's process is its own."""
    yield
    if heif._decoder._process:
        heif._decoder._end(heif._decoder._process)


def reason_of(data: bytes, **words: int) -> tuple[str, str]:
    with pytest.raises(BadPictureError) as caught:
        decode(data, 32, **words)
    return caught.value.reason.value, caught.value.detail


def test_its_colours_are_the_picture_s(plain: bytes) -> None:
    wanted = np.asarray(corners().resize((32, 32))).astype(int)
    assert np.abs(decode(plain, 32).astype(int) - wanted)[4:12, 4:12].max() <= 12
    assert np.abs(decode(plain, 32).astype(int) - wanted).mean() < 6


@pytest.mark.parametrize("options", [{"tile_size": 64}, {"chroma": 444}], ids=["tiles, as of phones", "full colours"])
def test_other_forms_of_it_are_the_same_picture(plain: bytes, options: dict[str, object]) -> None:
    assert np.abs(decode(photo(**options), 32).astype(int) - decode(plain, 32)).mean() < 6


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("asked", ["upright", "stored"])
def test_it_is_upright_whatever_is_asked(orientation: int, asked: str) -> None:
    data = photo(orientation)
    with Image.open(io.BytesIO(data)) as viewed:
        wanted = np.asarray(viewed.convert("RGB").resize((32, 32))).astype(int)
    assert np.abs(decode(data, 32, orientation=asked).astype(int) - wanted).max() <= 2
    assert np.abs(decode(data, 32).astype(int) - decode(photo(), 32)).mean() > 20


def test_it_is_known_by_its_brands(plain: bytes) -> None:
    assert is_heif(plain)
    assert is_heif(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"heic"))
    assert not is_heif(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"avif"))
    assert not is_heif(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"avif", 0, b"mif1", b"avif"))
    assert not is_heif(b"")


def test_a_truncated_one_is_a_row_and_the_next_is_decoded(plain: bytes) -> None:
    assert reason_of(plain[: len(plain) // 2])[0] == "truncated"
    assert reason_of(plain[:40])[0] == "truncated"
    assert decode(plain, 32).shape == (32, 32, 3)


def claiming(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def test_one_that_claims_too_many_pixels_is_not_tried(plain: bytes) -> None:
    assert reason_of(claiming(plain, 20_000, 10_000)) == (
        "too large",
        "20000 x 10000 pixels, 178956970 are allowed",
    )
    assert reason_of(claiming(plain, 10_000, 10_000)) == (
        "too large",
        "10000 x 10000 pixels of HEIC: 1144 MiB to decode, 768 are allowed",
    )
    assert heif._decoder._process is None


def test_a_decoder_that_dies_ends_no_worker_and_another_takes_its_place(
    plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heif, "DECODER", ("false",))
    reason, detail = reason_of(plain)
    assert (reason, detail) == (
        "undecodable",
        "its decoder has ended (1), by a fault of its own, for want of memory, or after 60 s",
    )
    monkeypatch.undo()
    assert decode(plain, 32).shape == (32, 32, 3)


def test_a_decoder_that_hangs_is_ended(plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "DECODER", ("sleep", "1000"))
    monkeypatch.setattr(heif, "SECONDS", 0.1)
    assert reason_of(plain)[1].startswith("its decoder has ended (-9), ")


def test_one_that_is_larger_than_its_header_tells_is_a_row() -> None:
    reason, detail = reason_of(claiming(BLACK, 64, 64))
    assert reason == "undecodable"
    assert "Image size 5000x5000 exceeds" in detail
    assert decode(BLACK, 32).max() == 0


def test_its_decoder_takes_no_more_memory_than_it_is_given() -> None:
    assert heif._decoder.decoded(BLACK, 32, 12 * 5000 * 5000).max() == 0
    with pytest.raises(BadPictureError) as caught:
        heif._decoder.decoded(BLACK, 32, 0)
    assert "Memory allocation error" in caught.value.detail
