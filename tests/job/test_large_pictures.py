"""A worker's memory over a folder of large pictures: flat ones, small as files, among ordinary ones."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.pixels.bounds import MAX_BYTES
from tests.job.conftest import Orchard
from tests.pictures import encoded
from tests.pictures_that_harm import saved

SMALL_ONES = 60
# Side in pixels, mode, format, how many of them; the file's last bytes are cut off where it says so.
LARGE = [
    (8000, "RGB", "PNG", 4, False),
    (8000, "RGBA", "PNG", 2, False),
    (8000, "P", "GIF", 1, False),
    (4900, "RGB", "JPEG", 3, False),
    (4900, "RGB", "JPEG", 8, True),
    (4900, "P", "PNG", 1, False),
    (3464, "RGB", "BMP", 2, False),
    (3464, "RGB", "TIFF", 2, False),
    (3464, "RGBA", "WEBP", 1, False),
    (3464, "RGB", "JPEG", 2, False),
]
CUT = sum(count for *_, count, is_cut in LARGE if is_cut)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Large and small ones in turn, as the list sorts them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for kind, (side, mode, form, count, is_cut) in enumerate(LARGE):
        data = saved(Image.new(mode, (side, side), 7), form, quality=75)
        for number in range(count):
            path = folder / f"{number} {kind}.{form.lower()}"
            path.write_bytes(data[:-100] if is_cut else data)
    for number in range(SMALL_ONES):
        (folder / f"{number % 10} small {number}.jpg").write_bytes(encoded())
    return folder


def test_a_worker_stays_within_its_slot_over_any_folder_of_large_pictures(
    pictures: Path, tmp_path: Path, orchard: Orchard
) -> None:
    words = ("--weights", "random", "--image-size", "64", "--components", "1", "--max-bad", "0.5", "--no-report")
    ended = orchard(
        "run", "--images", pictures, "--output", tmp_path, "--run-id", "large", "--master", "local[1,4]", *words
    )
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "large" / "run.json").read_text())
    assert record["worker_peak_bytes"] <= MAX_BYTES
    reasons = pq.read_table(tmp_path / "large" / "errors.parquet")["reason"].to_pylist()
    assert reasons == ["truncated"] * CUT
    assert record["counts"]["features"] == SMALL_ONES + sum(count for *_, count, is_cut in LARGE if not is_cut)
    shutil.rmtree(pictures)
