"""pipeline.pictures.demo_pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures import demo_pictures
from pipeline.pictures.demo_pictures import FRUITS, PER_CLASS, PHOTO_SIZE, draw_photos, draw_pictures
from pipeline.pixels.decode import decode


def test_the_demo_has_twelve_classes_of_fifty_pictures() -> None:
    assert (len(FRUITS), PER_CLASS) == (12, 50)


def test_the_demo_s_pictures_differ_and_are_the_same_each_time(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        draw_pictures(tmp_path / folder, per_class=3)
    files = sorted((tmp_path / "one").glob("*/*.jpg"))
    contents = [file.read_bytes() for file in files]
    assert len(set(contents)) == 3 * len(FRUITS)
    assert contents == [file.read_bytes() for file in sorted((tmp_path / "two").glob("*/*.jpg"))]
    with Image.open(files[0]) as picture:
        assert picture.size == (100, 100)
        assert np.asarray(picture).std() > 20


def test_the_demo_s_photos_are_large_some_on_their_side_some_of_16_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PHOTO_SIZE[0] * PHOTO_SIZE[1] == 12_000_000
    monkeypatch.setattr(demo_pictures, "PHOTO_SIZE", (400, 300))
    for folder in ("one", "two"):
        draw_photos(tmp_path / folder, ["Pear"])
    files = sorted((tmp_path / "one" / "Pear").iterdir())
    assert [file.name for file in files] == ["IMG_0000.JPG", "IMG_0001.JPG", "IMG_0002.jpeg", "IMG_0003.png"]
    assert [Image.open(file).mode for file in files] == ["RGB", "RGB", "RGB", "I;16"]
    assert [Image.open(file).size for file in files[:3]] == [(400, 300), (300, 400), (400, 300)]
    assert [file.read_bytes() for file in files] == [
        (tmp_path / "two" / "Pear" / file.name).read_bytes() for file in files
    ]
    # A fruit on white, whatever it is stored as and however it lies.
    for file in files:
        pixels = decode(file.read_bytes(), 64)
        assert pixels[:4, :4].mean() > 240
        assert pixels[28:36, 28:36].mean() < 220
