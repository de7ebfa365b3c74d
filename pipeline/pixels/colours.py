"""What a picture's pixels become in RGB, whatever they are stored as: never silently white, black or another colour."""

import io
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageCms

from pipeline.pixels import bounds

Conversion = Callable[[Image.Image], Image.Image]

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_PLAIN = ("RGB", "L", "P", "1", "CMYK", "YCbCr", "RGBX", "HSV")
_OTHERS = {
    "F": "floating point, which have no known white",
    "I": "signed or 32-bit integers, which have no known white",
    "LAB": "CIE L*a*b*",
}
# TIFF 6.0, section 8: what the largest number means.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
# Those of printing presses have half a million bytes to two.
_MAX_PROFILE_BYTES = 4 * 1024 * 1024
# A profile that moves no colour further, of 255, is sRGB by another name.
_SAME_COLOUR = 2
# Several threads share a transform: without LittleCMS's cache of the last pixel, which they would share, too.
_FLAGS = ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION


class UnsupportedError(Exception):
    """Pixels whose black and white nobody knows."""


def conversion(picture: Image.Image) -> Conversion:
    """What makes any strip of this picture, which is not loaded yet, RGB. Raises UnsupportedError without a rule.

    What is transparent lies on white. 16 bits (or 12) become 8 by their depth. A CMYK picture goes by its profile where
    it has one that can be read. Other profiles are left to `to_srgb`.
    """
    mode = picture.mode
    if mode in _SIXTEEN_BITS:
        is_inverted = bounds.tag(picture, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO
        white = 2 ** int(bounds.tag(picture, bounds.BITS, 16)) - 1
        return partial(_of_depth, white=white, is_inverted=is_inverted, hidden=picture.info.get("transparency"))
    if mode in _WITH_ALPHA or "transparency" in picture.info:
        return partial(_onto_white, key=_colour_key(picture))
    if mode == "CMYK" and (transform := _transform(_profile(picture), mode)):
        return lambda strip: _applied(transform, strip)
    if mode in _PLAIN:
        return plain
    kind = _OTHERS.get(mode, f"mode {mode}")
    raise UnsupportedError(f"pixels of {kind}; save the picture with 8 or 16 bits a channel")


def to_srgb(rgb: Image.Image, picture: Image.Image) -> Image.Image:
    """The pixels of an RGB `picture`, scaled or not, in sRGB where an embedded profile says that they are in another.

    Without a profile, or with one that cannot be read, they are taken for sRGB.
    """
    transform = _transform(_profile(picture), "RGB") if picture.mode in ("RGB", "RGBA", "RGBX", "P") else None
    return _applied(transform, rgb) if transform else rgb


def plain(strip: Image.Image) -> Image.Image:
    """RGB by Pillow's own rules."""
    return strip if strip.mode == "RGB" else strip.convert("RGB")


def _colour_key(picture: Image.Image) -> object:
    """What a colour must be to be transparent. Of 16 bits a channel Pillow has but the upper 8, and so has the key."""
    key = picture.info.get("transparency")
    has_16_bits = any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    return tuple(level >> 8 for level in key) if isinstance(key, tuple) and has_16_bits else key


def _onto_white(strip: Image.Image, key: object) -> Image.Image:
    if key is not None:
        strip.info["transparency"] = key
    if strip.mode == "La":
        strip = strip.convert("LA")
    rgba = strip if strip.mode == "RGBA" else strip.convert("RGBA")
    page = Image.new("RGB", strip.size, "white")
    page.paste(rgba, mask=rgba)
    return page


def _of_depth(strip: Image.Image, white: int, is_inverted: bool, hidden: object) -> Image.Image:
    stored = np.asarray(strip).astype(np.uint32)
    grey = np.minimum(stored, white)
    if is_inverted:
        grey = white - grey
    if isinstance(hidden, int):
        grey[stored == hidden] = white
    grey *= 255
    grey += white // 2
    grey //= white
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _profile(picture: Image.Image) -> bytes:
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and len(profile) <= _MAX_PROFILE_BYTES else b""


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB's, relative to each white; None where nothing is to be done."""
    if not profile:
        return None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given.profile.xcolor_space.strip() != mode:
            return None
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(given, srgb, mode, "RGB", intent, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if mode == "RGB" and _moves_nothing(transform) else transform


def _moves_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(_applied(transform, Image.fromarray(colours)))
    return bool(np.abs(moved.astype(int) - colours).max() <= _SAME_COLOUR)


def _applied(transform: ImageCms.ImageCmsTransform, picture: Image.Image) -> Image.Image:
    done = ImageCms.applyTransform(picture, transform)
    assert done is not None  # it is None for what is changed in place
    return done
