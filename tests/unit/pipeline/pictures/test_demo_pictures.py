"""pipeline.drawn."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.pictures.demo_pictures import FRUITS, PER_CLASS, draw_pictures


def test_the_demo_draws_twelve_classes_of_fifty_different_pictures_the_same_each_time(tmp_path: Path) -> None:
    assert draw_pictures(tmp_path / "one") == len(FRUITS) * PER_CLASS == 600
    draw_pictures(tmp_path / "two")
    files = sorted((tmp_path / "one").glob("*/*.jpg"))
    contents = [file.read_bytes() for file in files]
    assert len(set(contents)) == 600
    assert contents == [file.read_bytes() for file in sorted((tmp_path / "two").glob("*/*.jpg"))]
    with Image.open(files[0]) as picture:
        assert picture.size == (100, 100)
        assert np.asarray(picture).std() > 20
