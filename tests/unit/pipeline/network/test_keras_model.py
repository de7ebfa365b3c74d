"""pipeline.network.keras_model: what is kept in the cache, without Keras."""

from pathlib import Path

import pytest

from pipeline.network import keras_model
from pipeline.network.keras_model import Network, prepare_network
from pipeline.network.weights import Weights, find_weights


@pytest.fixture
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_network: Network) -> list[tuple[str, int]]:
    """Weights and sizes that were converted; the tiny network stands for what Keras would give."""
    made: list[tuple[str, int]] = []

    def convert(weights: Weights, image_size: int, target: Path) -> None:
        made.append((weights.name, image_size))
        target.mkdir()
        (target / "network.xml").write_bytes(tiny_network.graph)
        (target / "network.bin").write_bytes(tiny_network.constants)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(keras_model, "_convert", convert)
    return made


def test_the_second_preparation_takes_the_converted_model_from_the_cache(conversions: list[tuple[str, int]]) -> None:
    first, second = (prepare_network(find_weights("random"), "openvino", "f32", 32) for _ in range(2))
    assert first.constants == second.constants
    assert conversions == [("random", 32)]


def test_other_weights_and_another_size_are_converted_by_themselves(
    conversions: list[tuple[str, int]], tmp_path: Path
) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    own = find_weights(str(tmp_path / "w.h5"))
    for weights, size in ((own, 32), (own, 64), (find_weights("random"), 32), (own, 64)):
        prepare_network(weights, "openvino", "f32", size)
    assert conversions == [(own.name, 32), (own.name, 64), ("random", 32)]
