"""Real photos: how far features lie from the exact way's where JPEGs are decoded fast, and what an ICC profile changes.

Takes folders of photos that one has: none is kept with the project. Writes benchmarks/real_photos.md.
"""

import argparse
import io
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.machine import machine
from benchmarks.programs import ROOT
from pipeline.network.engine import Engine, engine_for
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
from pipeline.pictures.listing import is_picture
from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.decode import decode, fast_scale
from pipeline.pixels.heif import is_heif
from pipeline.settings import EXACT, FAST, RunSettings

SIZE = RunSettings.image_size


@dataclass(frozen=True)
class Photo:
    """A photo by its name: its megapixels, and the profile that it has by that profile's own name."""

    name: str
    data: bytes
    megapixels: float
    profile: str


def photos(folders: list[Path]) -> list[Photo]:
    """Those that can be decoded, none twice."""
    found: dict[bytes, Photo] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*") if is_picture(path.name)):
        data = path.read_bytes()
        try:
            pixels = decode(data, SIZE)
        except BadPictureError:
            continue
        with Image.open(io.BytesIO(data)) as picture:
            photo = Photo(path.name, data, picture.width * picture.height / 1e6, _profile(picture))
        found.setdefault(pixels.tobytes(), photo)
    return list(found.values())


def _profile(picture: Image.Image) -> str:
    profile = picture.info.get("icc_profile")
    if not profile:
        return ""
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError):
        return ""


def without_profile(data: bytes) -> NDArray[np.uint8]:
    """The pixels as `decode` gives them of a picture that has none, upright."""
    with Image.open(io.BytesIO(data)) as picture:
        plain = io.BytesIO()
        picture.load()
        picture.info.pop("icc_profile", None)
        picture.save(plain, "TIFF", icc_profile=None, exif=picture.getexif())
    return decode(plain.getvalue(), SIZE)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two vectors."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def features(engine: Engine, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """One after the other: what stands beside a picture changes nothing."""
    return np.concatenate([engine.features(pixels[None]) for pixels in pictures])


def nearest(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The most similar other one of each."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -1)
    found: NDArray[np.int64] = likeness.argmax(axis=1)
    return found


def of_fast(engine: Engine, every: list[Photo]) -> list[str]:
    """A row for each photo that has a smaller scale, and what they come to."""
    scaled = [photo for photo in every if not is_heif(photo.data) and fast_scale(photo.data, SIZE)]
    exact, fast = (features(engine, [decode(one.data, SIZE, way=way) for one in scaled]) for way in (EXACT, FAST))
    cosines = [cosine(*pair) for pair in zip(exact, fast, strict=True)]
    same = float((nearest(exact) == nearest(fast)).mean())
    rows = [f"| {one.name} | {one.megapixels:.1f} | {it:.5f} |" for one, it in zip(scaled, cosines, strict=True)]
    sizes = [one.megapixels for one in scaled]
    return [
        f"{len(scaled)} JPEGs of {min(sizes):.1f} to {max(sizes):.1f} megapixels: cosine of the fast way's features to "
        f"the exact one's {mean(cosines):.5f} in the mean, {min(cosines):.5f} at least; the nearest other photo is the "
        f"same for {same:.0%}.",
        "",
        "| photo | megapixels | cosine |",
        "| --- | ---: | ---: |",
        *rows,
    ]


def of_profiles(engine: Engine, every: list[Photo]) -> list[str]:
    """A row for each profile that is not sRGB by its name: of the photo with the most pixels."""
    chosen: dict[str, Photo] = {}
    for photo in sorted(every, key=lambda one: one.megapixels):
        if photo.profile and "sRGB" not in photo.profile:
            chosen[photo.profile] = photo
    rows = []
    for profile, photo in sorted(chosen.items()):
        by_it, as_stored = decode(photo.data, SIZE), without_profile(photo.data)
        moved = np.abs(by_it.astype(int) - as_stored)
        apart = cosine(*features(engine, [by_it, as_stored]))
        rows.append(f"| {profile} | {photo.name} | {moved.mean():.1f} | {moved.max()} | {apart:.4f} |")
    return ["| profile | photo | levels moved, mean | most | cosine |", "| --- | --- | ---: | ---: | ---: |", *rows]


def main() -> None:
    """Look at the photos and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--source", required=True, help="whose photos they are, for the page")
    options = parser.parse_args()
    pillow_heif.register_heif_opener()
    every = photos(options.folders)
    engine = engine_for(prepare_network(find_weights(options.weights), "openvino", "f32", SIZE))
    page = [
        "# Real photos",
        "",
        f"{machine()}. {options.source} Made by `python -m benchmarks.real_photos`.",
        "",
        "## The fast way beside the exact one",
        "",
        *of_fast(engine, every),
        "",
        "## What a colour profile changes",
        "",
        "Pixels at 224 x 224 by the profile beside the same as if there were none, in levels of 255, and the cosine of "
        "the features of both:",
        "",
        *of_profiles(engine, every),
        "",
    ]
    (ROOT / "benchmarks" / "real_photos.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
