"""pipeline.run_folder.report on a run of two classes, two pictures of which cannot be read."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import ExifTags, Image

from pipeline.run_folder import report
from pipeline.run_folder.parts import read_pca
from pipeline.run_folder.record import read_record
from pipeline.run_folder.report import render
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage


def page_of(run: Path) -> str:
    storage = open_storage(str(run))
    return render(storage, read_record(storage))


def test_the_page_needs_no_network_and_names_classes_and_bad_pictures(whole_run: Path) -> None:
    page = page_of(whole_run)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert re.findall(r'data-label="(\w+)"', page) == ["Apple", "Pear"]
    assert "Apple/1.jpg" in page
    assert "2 not an image" in page
    assert "data:image/jpeg;base64," in page


def test_where_the_pictures_are_no_longer_there_the_map_has_points_alone(whole_run: Path) -> None:
    storage = open_storage(str(whole_run))
    record = read_record(storage)
    moved = replace(record, settings={**record.settings, "images": str(whole_run / "nowhere")})
    page = render(storage, moved)
    assert "data:image/jpeg;base64," not in page
    assert '"points": [[' in page


def test_thumbnails_are_upright_and_together_no_longer_than_is_allowed(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "pictures"
    run, record = open_storage(str(whole_run)), read_record(open_storage(str(whole_run)))
    shutil.copytree(record.settings["images"], pictures)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying = Image.new("RGB", (400, 300), "red")
    lying.paste("blue", (0, 0, 200, 300))
    lying.save(pictures / "Pear" / "2.jpg", exif=exif)
    moved = replace(record, settings={**record.settings, "images": str(pictures)})
    page = render(run, moved)
    sprite, paths = sprite_of(page), json.loads(re.search(r'"paths": (\[.*?\])', page)[1])
    tile = np.asarray(sprite)[:40, 40 * paths.index("Pear/2.jpg") :][:, :40].astype(int)
    # Stored, blue was on the left; turned by a quarter, it is above.
    assert tile[5, 20, 2] > 200 > 60 > tile[5, 20, 0]
    assert tile[35, 20, 0] > 200 > 60 > tile[35, 20, 2]
    monkeypatch.setattr(report, "SPRITE_BYTES", 20_000)
    small = render(run, moved)
    assert len(small) < len(page)
    assert sprite_of(small).size == sprite.size


def sprite_of(page: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(re.search(r"data:image/jpeg;base64,([^\"]+)", page)[1])))


def test_what_a_name_holds_is_no_part_of_the_page(whole_run: Path) -> None:
    storage = open_storage(str(whole_run))
    named = replace(read_record(storage), notes=["<script>alert(1)</script>"])
    assert "<script>alert(1)" not in render(storage, named)


def test_a_run_with_a_part_missing_has_no_page(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    (run / "pca" / "part-00001.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        page_of(run)


def test_of_many_parts_a_few_are_read_and_of_many_classes_the_largest_are_shown(
    whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def noted(storage: LocalStorage, task: int) -> pa.Table:
        read.append(task)
        return read_pca(storage, task)

    monkeypatch.setattr(report, "read_pca", noted)
    monkeypatch.setattr(report, "PARTS_READ", 3)
    monkeypatch.setattr(report, "CLASSES_SHOWN", 1)
    page = page_of(whole_run)
    assert 1 < len(read) <= 3 < read_record(open_storage(str(whole_run))).tasks
    assert len(re.findall(r'data-label="', page)) == 1
    assert "The 1 largest of 2 classes are shown." in page
    assert "pictures spread over the list" in page
