"""The demo's own pictures: fruit-like shapes and colours, drawn with a fixed seed, small or as phones make them."""

import math
import os
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw

SEED = 7
SIDE = 100
PER_CLASS = 50
PHOTO_SIZE = 4000, 3000
# How far a camera's grain goes up and down, of 255.
_GRAIN = 6
_ON_ITS_SIDE = 6  # EXIF: a photo whose top lies at the right
# Name: skin colour (RGB), height over width, size of the stem's dip, speckles, leaf
FRUITS: dict[str, tuple[tuple[int, int, int], float, float, int, bool]] = {
    "Apple Green": ((118, 176, 52), 0.95, 0.25, 6, True),
    "Apple Red": ((182, 32, 40), 0.95, 0.25, 10, False),
    "Apricot": ((240, 160, 62), 0.98, 0.15, 4, False),
    "Banana": ((236, 206, 66), 0.38, 0.0, 5, False),
    "Blueberry": ((58, 72, 128), 1.0, 0.35, 0, False),
    "Cherry": ((128, 12, 34), 0.96, 0.2, 0, True),
    "Kiwi": ((124, 92, 48), 0.78, 0.0, 60, False),
    "Lemon": ((246, 222, 60), 0.72, 0.0, 25, False),
    "Lime": ((96, 158, 44), 0.80, 0.0, 25, False),
    "Orange": ((244, 138, 28), 1.0, 0.1, 45, True),
    "Pear": ((186, 190, 70), 1.35, 0.0, 20, True),
    "Plum": ((92, 36, 84), 1.12, 0.1, 3, False),
}


def draw_pictures(folder: Path, per_class: int = PER_CLASS) -> None:
    """Write `per_class` JPEGs of 100 x 100 pixels of each of FRUITS, `<folder>/<class>/<number>.jpg`."""
    for name in FRUITS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            picture = _draw(name, random.Random(f"{SEED} {name} {number}"))  # noqa: S311  # drawing, not secrets
            picture.save(folder / name / f"{number:02d}.jpg", quality=90)


def draw_photos(folder: Path, fruits: Iterable[str] = FRUITS) -> None:
    """Write four photos of 12 megapixels of each fruit, each of another kind, `<folder>/<class>/IMG_<number>`.

    The kinds: a JPEG, one that is stored on its side and says so in EXIF, a progressive one, a grey PNG of 16 bits.
    """
    kinds = (_as_jpeg, _on_its_side, _as_progressive, _as_deep_grey)
    tasks = []
    for name in fruits:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, kind in enumerate(kinds):
            tasks.append(partial(_draw_photo, folder / name / f"IMG_{number:04d}", name, number, kind))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda task: task(), tasks))


def _draw_photo(path: Path, name: str, number: int, save: Callable[[Image.Image, Path], None]) -> None:
    seed = f"{SEED} {name} {number}"
    large = _draw(name, random.Random(seed)).resize(PHOTO_SIZE)  # noqa: S311  # drawing, not secrets
    # One row's grain for all rows, each beginning elsewhere: as costly for a JPEG as any, and quickly made.
    rng = np.random.default_rng(list(seed.encode()))
    grain = np.resize(rng.integers(-_GRAIN, _GRAIN + 1, PHOTO_SIZE[0] * 7 + 13, np.int16), PHOTO_SIZE[::-1])
    pixels = (np.asarray(large) + grain[..., None]).clip(0, 255).astype(np.uint8)
    save(Image.fromarray(pixels), path)


def _as_jpeg(picture: Image.Image, path: Path) -> None:
    picture.save(path.with_suffix(".JPG"), quality=85)


def _on_its_side(picture: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _ON_ITS_SIDE
    picture.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".JPG"), quality=85, exif=exif)


def _as_progressive(picture: Image.Image, path: Path) -> None:
    picture.save(path.with_suffix(".jpeg"), quality=85, progressive=True)


def _as_deep_grey(picture: Image.Image, path: Path) -> None:
    grey = np.asarray(picture.resize((1000, 750)).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path.with_suffix(".png"))


def _draw(name: str, rng: random.Random) -> Image.Image:
    """Drawn at twice the size and reduced, which smooths every edge."""
    colour, tall, dip, speckles, leaf = FRUITS[name]
    side = SIDE * 2
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    radius = side * rng.uniform(0.33, 0.43)
    wide, high = (radius, radius * tall) if tall <= 1 else (radius / tall, radius)
    skin = tuple(max(0, min(255, part + rng.randint(-16, 16))) for part in colour)
    light = rng.uniform(-0.5, 0.5), rng.uniform(-0.6, -0.2)
    # The body as rings that grow lighter towards the light.
    for ring in range(24):
        share = 1 - ring / 24
        shade = 0.62 + 0.55 * (1 - share) ** 0.8
        centre = (side / 2 + light[0] * wide * (1 - share) * 0.8, side / 2 + light[1] * high * (1 - share) * 0.8)
        pen.ellipse(_box(centre, wide * share, high * share), fill=_shaded(skin, shade))
    for _ in range(speckles):
        angle, distance = rng.uniform(0, math.tau), math.sqrt(rng.random()) * 0.85
        spot = (side / 2 + math.cos(angle) * distance * wide, side / 2 + math.sin(angle) * distance * high)
        pen.ellipse(_box(spot, 2, 2), fill=_shaded(skin, rng.uniform(0.6, 1.25)))
    top = (side / 2 + rng.uniform(-4, 4), side / 2 - high * 0.9)
    if dip:
        pen.ellipse(_box(top, wide * dip, high * dip * 0.5), fill=_shaded(skin, 0.5))
        pen.line([top, (top[0] + rng.uniform(-10, 10), top[1] - 25)], fill=(88, 62, 34), width=5)
    if leaf:
        pen.ellipse((top[0] + 2, top[1] - 22, top[0] + 42, top[1] - 5), fill=(64, 128, 48))
    turned = picture.rotate(rng.uniform(-180, 180), fillcolor="white", resample=Image.Resampling.BICUBIC)
    return turned.resize((SIDE, SIDE))


def _box(centre: tuple[float, float], wide: float, high: float) -> tuple[float, float, float, float]:
    return (centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high)


def _shaded(colour: tuple[int, ...], factor: float) -> tuple[int, int, int]:
    red, green, blue = (min(255, int(part * factor)) for part in colour[:3])
    return red, green, blue
