"""pipeline.pictures.demo_pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.pictures.demo_pictures import FRUITS, PER_CLASS, draw_pictures
from tests.conftest import DRAWN_PER_CLASS


def test_the_demo_draws_twelve_classes_of_fifty_different_pictures_the_same_each_time(
    tmp_path: Path, drawn_pictures: Path
) -> None:
    assert draw_pictures(tmp_path) == len(FRUITS) * PER_CLASS == 600
    files = sorted(tmp_path.glob("*/*.jpg"))
    assert len({file.read_bytes() for file in files}) == 600
    drawn_before = sorted(drawn_pictures.glob("*/*.jpg"))
    assert len(drawn_before) == len(FRUITS) * DRAWN_PER_CLASS
    assert all(file.read_bytes() == (tmp_path / file.relative_to(drawn_pictures)).read_bytes() for file in drawn_before)
    with Image.open(files[0]) as picture:
        assert picture.size == (100, 100)
        assert np.asarray(picture).std() > 20
