"""A network for tests whose point is not its numbers: made in milliseconds, without Keras."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.network.frameworks import import_openvino
from pipeline.network.keras_model import FEATURES, Network


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """32 x 32 pixels to 1,280 features by averages of 8 x 8 blocks and one matrix; run by the real engine."""
    openvino = import_openvino()
    from openvino import opset13 as ops

    pixels = ops.parameter([1, 32, 32, 3], np.float32)
    blocks = ops.avg_pool(ops.transpose(pixels, [0, 3, 1, 2]), [8, 8], [0, 0], [0, 0], [8, 8], exclude_pad=True)
    flat = ops.reshape(blocks, [0, 48], special_zero=True)
    matrix = np.random.default_rng(5).normal(size=(48, FEATURES)).astype(np.float32)
    model = openvino.Model([ops.matmul(flat, matrix, False, False)], [pixels])
    file = tmp_path_factory.mktemp("network") / "network.xml"
    openvino.save_model(model, file, compress_to_fp16=False)
    return Network("openvino", "f32", 32, file.read_bytes(), Path(file).with_suffix(".bin").read_bytes())
