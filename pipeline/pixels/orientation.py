"""Phones store photos as the sensor lay, and say in EXIF how they are to be turned."""

from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_of(picture: Image.Image) -> Image.Transpose | None:
    """How the picture is to be turned, by EXIF or XMP; None for not at all, or where nobody can read it.

    Pillow turns TIFFs, alone of all formats, as it loads them: not those that were asked about before.
    """
    try:
        exif = picture.getexif()
        orientation = exif.get(ExifTags.Base.Orientation)
        exif.pop(ExifTags.Base.Orientation, None)
    except Exception:  # whatever is wrong with what describes a picture, the picture is none the worse
        return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None
