"""pipeline.network.engine on a tiny network."""

import os
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.network import engine
from pipeline.network.engine import OpenVinoEngine, engine_for
from pipeline.network.keras_model import FEATURES, Network
from tests.conftest import Need


def test_pixels_are_scaled_to_minus_1_to_1_and_a_short_batch_is_padded(tiny_network: Network) -> None:
    runner = OpenVinoEngine(tiny_network)
    pixels = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 255)])
    black, white = runner.features(pixels)
    assert black.shape == (FEATURES,)
    assert np.abs(black).max() > 1
    assert np.allclose(black, -white, atol=1e-3)
    assert np.array_equal(runner.features(pixels[1:]), white[None])


def test_a_process_makes_one_engine_for_one_network(tiny_network: Network) -> None:
    assert engine_for(tiny_network) is engine_for(tiny_network)


def test_no_worker_is_tied_to_a_core_that_others_use_too(need: Need, tiny_network: Network) -> None:
    need(hasattr(os, "sched_getaffinity"), "this system does not tell which cores a thread may use")
    need(len(os.sched_getaffinity(0)) > 1, "there is one core only, which every worker shares")
    runner = OpenVinoEngine(tiny_network)
    pixels = np.zeros((runner.batch, 32, 32, 3), np.uint8)
    thread = threading.Thread(target=lambda: [runner.features(pixels) for _ in range(1000)])
    thread.start()
    seen: set[frozenset[int]] = set()
    while thread.is_alive():
        with suppress(ProcessLookupError):
            seen |= {frozenset(os.sched_getaffinity(thread.native_id or 0))}
    assert seen == {frozenset(os.sched_getaffinity(0))}


def test_bf16_on_a_processor_without_it_is_refused_where_it_is_to_compute(
    monkeypatch: pytest.MonkeyPatch, tiny_network: Network
) -> None:
    class Core:
        def get_property(self, *_: object) -> list[str]:
            return ["FP32"]

    monkeypatch.setattr(engine.import_openvino(), "Core", Core)
    sentence = rf"^The processor of {socket.gethostname()} has no bf16 arithmetic; take f32 as precision\.$"
    with pytest.raises(InputError, match=sentence):
        OpenVinoEngine(replace(tiny_network, precision="bf16"))
