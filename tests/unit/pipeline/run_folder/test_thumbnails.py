"""pipeline.run_folder.thumbnails: whose picture the map shows, and how it comes there."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.run_folder.thumbnails import Shown, metadata_of, thumbnail, thumbnails_in


@pytest.mark.parametrize(("pictures", "tasks"), [(2_000, 8), (20_622, 37), (400_000, 400), (3_000_000, 20_000)])
def test_a_map_has_between_half_and_all_of_its_points_whatever_the_size_of_the_run(pictures: int, tasks: int) -> None:
    shown, each = Shown.of(pictures, tasks), pictures // tasks
    read = range(0, tasks, shown.parts)
    points = sum(shown.has(task, f"Apple/{task}/{row}.jpg") for task in read for row in range(each))
    assert 650 < points < 1_650
    assert len(read) <= 256
    assert not any(shown.has(task, "a.jpg") for task in range(tasks) if task not in read)


def test_of_a_small_run_every_picture_is_shown() -> None:
    assert all(Shown.of(1_500, 12).has(task, f"{task}.jpg") for task in range(12))


def test_a_thumbnail_is_the_picture_in_40_pixels() -> None:
    pixels = np.zeros((224, 224, 3), np.uint8)
    pixels[:112, :, 0] = 255
    with Image.open(io.BytesIO(thumbnail(pixels))) as small:
        assert small.size == (40, 40)
        upper, lower = (np.asarray(small)[row, 20].astype(int) for row in (5, 34))
    assert abs(upper - [255, 0, 0]).max() < 10
    assert lower.max() < 10


def test_thumbnails_travel_in_a_table_s_metadata() -> None:
    table = pa.table({"path": ["ä.jpg"]})
    assert thumbnails_in(table) == {}
    assert not table.replace_schema_metadata(metadata_of({})).schema.metadata
    assert thumbnails_in(table.replace_schema_metadata(metadata_of({"ä.jpg": b"\xff\0"}))) == {"ä.jpg": b"\xff\0"}
