"""pipeline.features.advice."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.features import advice
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from tests.pictures import encoded

SETTINGS = RunSettings("", "")
SENTENCE = (
    "These are photos of about 12 megapixels: with --decode fast they would take about 33% of the time, for nearly "
    "the same features (benchmarks/photos.md)."
)


@pytest.fixture
def photos(tmp_path: Path) -> LocalStorage:
    photo = Image.fromarray(np.zeros((3000, 4000, 3), np.uint8))
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        photo.save(tmp_path / name)
    photo.save(tmp_path / "4.png")
    (tmp_path / "5.jpg").write_bytes(encoded())
    (tmp_path / "6.jpg").write_bytes(b"words")
    return LocalStorage.at(str(tmp_path))


def test_a_run_of_large_photos_is_told_of_the_fast_way(photos: LocalStorage) -> None:
    assert advice.of_decoding(photos, SETTINGS, ["1.jpg", "6.jpg", "2.jpg", "gone.jpg", "3.jpg"], 1e6) == SENTENCE


@pytest.mark.parametrize(
    "some",
    [(), ("5.jpg",), ("4.png",), ("1.jpg", "5.jpg", "6.jpg")],
    ids=["none", "a small one", "no JPEG", "one of three"],
)
def test_others_are_told_nothing(photos: LocalStorage, some: tuple[str, ...]) -> None:
    assert advice.of_decoding(photos, SETTINGS, some, 1e6) == ""


def test_who_has_chosen_it_is_told_nothing(photos: LocalStorage) -> None:
    assert advice.of_decoding(photos, RunSettings("", "", decode="fast"), ["1.jpg"], 1e6) == ""


def test_small_pictures_are_not_even_looked_at(photos: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStorage, "read", lambda *_: pytest.fail("it was read"))
    assert advice.of_decoding(photos, SETTINGS, ["1.jpg"], 20_000) == ""
