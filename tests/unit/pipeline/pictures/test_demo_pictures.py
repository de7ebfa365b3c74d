"""pipeline.pictures.demo_pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.pictures.demo_pictures import FRUITS, PER_CLASS, draw_pictures


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
