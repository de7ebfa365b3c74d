"""pipeline.pixels.colours: pictures of known greys and colours, in each mode that a file can have."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from pipeline.pixels import colours
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.decode import decode
from tests.pictures import chunk

SIZE = (40, 30)
WHITE = (255, 255, 255)


def stored(picture: Image.Image, form: str, **more: object) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, form, **more)
    return sink.getvalue()


def colour(data: bytes, orientation: str = "upright") -> tuple[int, ...]:
    """The one colour of a picture that has one."""
    pixels = decode(data, 32, orientation=orientation).reshape(-1, 3)
    assert (pixels == pixels[0]).all()
    return tuple(pixels[0].tolist())


def grey16(value: int) -> Image.Image:
    return Image.fromarray(np.full(SIZE[::-1], value, np.uint16))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(("value", "level"), [(0, 0), (127 * 257, 127), (128, 0), (129, 1), (65535, 255)])
def test_sixteen_bits_become_eight_by_their_depth(form: str, value: int, level: int) -> None:
    assert colour(stored(grey16(value), form)) == (level,) * 3


def test_sixteen_bits_in_either_order_of_bytes_are_the_same_grey() -> None:
    for order in ("I;16", "I;16B"):
        picture = Image.frombytes(order, SIZE, struct.pack((">" if order[-1] == "B" else "<") + "H", 25700) * 1200)
        assert colour(stored(picture, "TIFF")) == (100,) * 3


def tiff(bits: int, photometric: int, data: bytes) -> bytes:
    """An uncompressed grey TIFF of one row, by hand: Pillow writes none of 12 bits, nor one whose zero is white."""
    width = len(data) * 8 // bits
    told = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1, 279: len(data)}
    at = 8 + 2 + 12 * len(told) + 4
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, at if tag == 273 else value) for tag, value in told.items())
    return b"II*\0" + struct.pack("<IH", 8, len(told)) + fields + bytes(4) + data


def test_twelve_bits_are_white_at_4095_and_a_tiff_whose_zero_is_white_is_no_negative() -> None:
    assert colour(tiff(12, 1, b"\xff\xff\xff" * 8)) == WHITE
    assert colour(tiff(12, 1, b"\x7f\x87\xf8" * 8)) == (127,) * 3
    assert colour(tiff(16, 0, bytes(32))) == WHITE
    assert colour(tiff(16, 0, b"\xff\xff" * 16)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("mode", "value", "form"),
    [
        *(("L", 127, form) for form in ("PNG", "TIFF", "BMP", "GIF", "JPEG", "WEBP")),
        *(("1", 1, form) for form in ("PNG", "TIFF", "BMP", "GIF")),
        *(("RGB", (127, 127, 127), form) for form in ("PNG", "TIFF", "BMP", "JPEG", "WEBP")),
        *(("RGBA", (127, 127, 127, 255), form) for form in ("PNG", "TIFF", "WEBP")),
        *(("LA", (127, 255), form) for form in ("PNG", "TIFF")),
        ("RGBX", (127, 127, 127, 0), "TIFF"),
        ("CMYK", (0, 0, 0, 128), "TIFF"),
        ("CMYK", (0, 0, 0, 128), "JPEG"),
        ("YCbCr", (127, 128, 128), "TIFF"),
    ],
)
def test_a_known_grey_stays_what_it_is_in_every_mode(mode: str, value: int | tuple[int, ...], form: str) -> None:
    grey = 255 if mode == "1" else 127
    assert colour(stored(Image.new(mode, SIZE, value), form)) == pytest.approx((grey,) * 3, abs=1)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_whose_white_nobody_knows_are_an_unsupported_picture(mode: str) -> None:
    data = stored(Image.new(mode, SIZE), "TIFF")
    assert Image.open(io.BytesIO(data)).mode == mode
    with pytest.raises(BadPictureError) as caught:
        decode(data, 32)
    assert caught.value.reason == "unsupported"
    assert "save the picture with 8 or 16 bits a channel" in caught.value.detail


def test_every_mode_that_pillow_gives_a_tiff_or_png_has_a_rule() -> None:
    modes = {mode for mode, _ in TiffImagePlugin.OPEN_INFO.values()}
    ruled = {*colours._SIXTEEN_BITS, *colours._WITH_ALPHA, *colours._PLAIN, *colours._OTHERS}
    assert modes <= ruled


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_what_is_transparent_lies_on_white(form: str) -> None:
    more = {"lossless": True, "exact": True} if form == "WEBP" else {}
    hidden = Image.new("RGBA", SIZE, (200, 0, 0, 0))
    assert colour(stored(hidden, form, **more)) == WHITE
    half = Image.new("RGBA", SIZE, (200, 0, 0, 128))
    assert colour(stored(half, form, **more)) == pytest.approx((227, 127, 127), abs=3)


def test_a_palette_s_and_a_colour_key_s_transparency_lie_on_white_too() -> None:
    palette = Image.new("P", SIZE, 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert colour(stored(palette, "PNG")) == (10, 20, 30)
    assert colour(stored(palette, "PNG", transparency=0)) == WHITE
    assert colour(stored(palette, "GIF", transparency=0)) == WHITE
    assert colour(stored(Image.new("RGB", SIZE, (10, 20, 30)), "PNG", transparency=(10, 20, 30))) == WHITE
    assert colour(stored(Image.new("L", SIZE, 9), "PNG", transparency=9)) == WHITE
    assert colour(stored(Image.new("L", SIZE, 9), "PNG", transparency=8)) == (9, 9, 9)


def png16(colours_type: int, sample: bytes, key: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, of one pixel's samples."""
    width, height = SIZE
    rows = zlib.compress((b"\0" + sample * width) * height)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colours_type, 0, 0, 0))
    hidden = chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + head + hidden + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_colour_keys_of_sixteen_bits_are_found() -> None:
    assert colour(png16(0, b"\x12\x34")) == (18, 18, 18)
    assert colour(png16(0, b"\x12\x34", b"\x12\x34")) == WHITE
    assert colour(png16(0, b"\x12\x35", b"\x12\x34")) == (18, 18, 18)
    assert colour(png16(2, b"\x12\x34\x56\x78\x9a\xbc")) == (0x12, 0x56, 0x9A)
    assert colour(png16(2, b"\x12\x34\x56\x78\x9a\xbc", b"\x12\x34\x56\x78\x9a\xbc")) == WHITE


def test_opaque_pictures_with_an_alpha_are_the_same_to_the_bit_as_without() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    plain = Image.fromarray(noise)
    assert np.array_equal(decode(stored(plain.convert("RGBA"), "PNG"), 32), decode(stored(plain, "PNG"), 32))


# Red, green and blue of Display P3, and of sRGB, as XYZ under D50: columns of the matrix of an ICC profile.
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
GAMMA = 2.2


def profile_of(primaries: np.ndarray) -> bytes:
    """An ICC profile (version 2.1: header, table of tags, tags) of these primaries and one gamma."""

    def s15(numbers: np.ndarray) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    curve = b"curv" + bytes(4) + struct.pack(">IH2x", 1, round(GAMMA * 256))
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        b"wtpt": b"XYZ " + bytes(4) + s15(np.array([0.9642, 1.0, 0.8249])),
        **{name + b"XYZ": b"XYZ " + bytes(4) + s15(primaries[:, i]) for i, name in enumerate((b"r", b"g", b"b"))},
        **{name + b"TRC": curve for name in (b"r", b"g", b"b")},
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    size = at + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    white = bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return (head + white).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def shown(levels: tuple[int, int, int]) -> tuple[int, ...]:
    """What these levels of Display P3 are in sRGB, by the formulas themselves (IEC 61966-2-1)."""
    linear = np.linalg.solve(SRGB, P3 @ (np.array(levels) / 255) ** GAMMA).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(np.rint(encoded * 255).astype(int).tolist())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("levels", [(200, 100, 50), (90, 160, 60), (128, 128, 128)])
def test_the_colours_of_a_wide_gamut_become_srgb(form: str, levels: tuple[int, int, int]) -> None:
    more = {"lossless": True} if form == "WEBP" else {}
    data = stored(Image.new("RGB", SIZE, levels), form, icc_profile=profile_of(P3), **more)
    as_stored = colour(stored(Image.new("RGB", SIZE, levels), form, **more))
    assert colour(data) == pytest.approx(shown(levels), abs=4)
    assert (colour(data) == pytest.approx(as_stored, abs=3)) == (levels[0] == levels[1])


@pytest.mark.parametrize("profile", ["srgb", "broken", "grey", "huge"])
def test_srgb_by_any_name_and_profiles_that_cannot_be_read_change_no_bit(profile: str) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (*SIZE[::-1], 3), np.uint8))
    content = {
        "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "broken": profile_of(P3)[:200],
        "grey": profile_of(P3).replace(b"RGB ", b"GRAY"),
        "huge": profile_of(P3) + bytes(4 * 1024 * 1024),
    }[profile]
    with_profile = stored(noise, "JPEG", icc_profile=content)
    assert Image.open(io.BytesIO(with_profile)).info["icc_profile"] == content
    assert np.array_equal(decode(with_profile, 32), decode(stored(noise, "JPEG"), 32))


def test_a_cmyk_picture_with_a_profile_that_is_none_of_cmyk_is_shown_all_the_same() -> None:
    ink = Image.new("CMYK", SIZE, (0, 0, 0, 128))
    assert colour(stored(ink, "JPEG", icc_profile=profile_of(P3))) == colour(stored(ink, "JPEG"))
