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
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.run_folder import report, thumbnails
from pipeline.run_folder.parts import read_pca
from pipeline.run_folder.record import read_record
from pipeline.run_folder.report import SPRITE_COLUMNS, render
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


def test_a_run_of_before_thumbnails_were_kept_has_a_map_of_points_alone(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    for part in (run / "pca").glob("*.parquet"):
        pq.write_table(pq.read_table(part, partitioning=None).replace_schema_metadata(), part)
    page = page_of(run)
    assert "data:image/jpeg;base64," not in page
    assert re.search(r'"points": \[\[', page)


def test_each_point_has_its_own_thumbnail_and_together_they_are_no_longer_than_is_allowed(
    whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(whole_run)
    sprite, paths = sprite_of(page), json.loads(re.search(r'"paths": (\[.*?\])', page)[1])
    images = Path(LocalStorage.at(read_record(open_storage(str(whole_run))).settings["images"]).uri)
    assert len(paths) == read_record(open_storage(str(whole_run))).counts["features"]
    for number, path in enumerate(paths):
        left, top = number % SPRITE_COLUMNS * 40, number // SPRITE_COLUMNS * 40
        tile = np.asarray(sprite.crop((left, top, left + 40, top + 40))).astype(int)
        wanted = np.asarray(Image.open(images / path).convert("RGB").resize((40, 40))).astype(int)
        assert abs(tile.mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() < 6, path
    monkeypatch.setattr(report, "SPRITE_BYTES", 20_000)
    small = page_of(whole_run)
    assert len(small) < len(page)
    assert sprite_of(small).size == sprite.size


def test_where_chance_has_chosen_no_picture_for_the_map_all_are_points(
    whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails.Shown, "has", lambda *_: False)
    page = page_of(whole_run)
    paths = json.loads(re.search(r'"paths": (\[.*?\])', page)[1])
    assert len(paths) == read_record(open_storage(str(whole_run))).counts["features"]


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
    monkeypatch.setattr(thumbnails, "_PARTS_READ", 3)
    monkeypatch.setattr(report, "CLASSES_SHOWN", 1)
    page = page_of(whole_run)
    assert 1 < len(read) <= 3 < read_record(open_storage(str(whole_run))).tasks
    assert len(re.findall(r'data-label="', page)) == 1
    assert "The 1 largest of 2 classes are shown." in page
    assert "pictures spread over the list" in page
