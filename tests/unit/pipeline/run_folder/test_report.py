"""pipeline.run_folder.report on a run of two classes, two pictures of which cannot be read."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.run_folder.record import read_record
from pipeline.run_folder.report import render
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
