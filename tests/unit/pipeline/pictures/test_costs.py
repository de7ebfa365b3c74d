"""pipeline.pictures.costs."""

import pyarrow as pa
import pytest

from pipeline.pictures.costs import ONE, costs
from pipeline.pictures.listing import PICTURE_SUFFIXES
from pipeline.settings import EXACT, FAST


def cost(name: str, size: int, way: str = EXACT) -> float:
    return float(costs(pa.array([name]), pa.array([size]), way)[0]) / ONE


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_a_small_picture_costs_one_whatever_its_format(suffix: str) -> None:
    assert [cost(f"a/1.{suffix}", size) for size in (0, 5_000, 20_000)] == [1.0, 1.0, 1.0]


def test_a_photo_costs_what_its_format_takes_for_a_byte() -> None:
    # The same photo of 12 megapixels, as it was saved in each.
    sizes = {
        "jpg": 1_290_000,
        "JPEG": 1_290_000,
        "png": 8_560_000,
        "webp": 580_000,
        "heic": 1_680_000,
        "bmp": 36_000_000,
    }
    found = {suffix: cost(f"Pear.x/IMG.{suffix}", size) for suffix, size in sizes.items()}
    assert found["jpg"] == found["JPEG"] == pytest.approx(13.1, abs=0.1)
    # Milliseconds that decoding took, over the network's 12.
    for suffix, took in {"png": 374, "webp": 318, "heic": 664, "bmp": 158}.items():
        assert found[suffix] == pytest.approx(took / 12, rel=0.35), suffix


def test_the_fast_way_is_one_of_jpegs_alone() -> None:
    assert cost("a/1.jpg", 4_096_000, FAST) == pytest.approx(10.0)
    assert cost("a/1.png", 8_560_000, FAST) == cost("a/1.png", 8_560_000)
