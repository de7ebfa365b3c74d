"""MobileNetV2 without its classifier: built by Keras, and converted once for OpenVINO."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.network.frameworks import convert, import_keras, import_openvino
from pipeline.network.weights import RANDOM_SEED, Weights

# Width of the last convolution of MobileNetV2 1.0 (Sandler et al. 2018, table 2).
FEATURES = 1280
SMALLEST_SIZE = 32
LARGEST_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Network:
    """What a worker needs to run the network, broadcast once: a few MB, no TensorFlow objects.

    Compared by identity: a worker keeps one engine for the one broadcast it has unpickled.
    """

    engine: str
    precision: str
    image_size: int
    graph: bytes = b""
    constants: bytes = b""
    weights: tuple[NDArray[np.float32], ...] = ()


def build_keras_model(image_size: int) -> Any:
    """The Keras model with random weights of a fixed seed: float32 (n, size, size, 3) in -1..1 to (n, 1280)."""
    keras = import_keras()
    keras.utils.set_random_seed(RANDOM_SEED)
    shape = (image_size, image_size, 3)
    return keras.applications.MobileNetV2(include_top=False, pooling="avg", input_shape=shape, weights=None)


def load_keras_model(weights: Weights, image_size: int) -> Any:
    """The Keras model with these weights. Raises InputError where the file is not of this network."""
    model = build_keras_model(image_size)
    if weights.file is None:
        return model
    with tempfile.TemporaryDirectory() as folder:
        # Keras takes HDF5 only under a name that says so.
        named = Path(folder) / "network.h5"
        shutil.copyfile(weights.file, named)
        try:
            model.load_weights(str(named))
        except Exception as error:  # h5py and Keras raise OSError, ValueError, KeyError and more for a wrong file
            raise InputError(
                f"{weights.name} does not hold weights of MobileNetV2 1.0 without the classifier; "
                "give such a Keras .h5 file as weights, or imagenet."
            ) from error
    return model


def prepare_network(weights: Weights, engine: str, precision: str, image_size: int) -> Network:
    """The network for this engine. The converted model is kept in the user's cache, so that later runs start sooner.

    Whether a processor has its precision is for the workers to say: see `engine.has_bf16`. Raises InputError for
    weights of another network.
    """
    if engine == "tensorflow":
        arrays = load_keras_model(weights, image_size).get_weights()
        return Network(engine, precision, image_size, weights=tuple(arrays))
    openvino = import_openvino()
    cached = cache_folder() / f"{weights.sha256[:24]}-{image_size}-{openvino.__version__.partition('-')[0]}"
    if not (cached / "network.bin").is_file():
        _convert(weights, image_size, cached)
    graph, constants = (cached / "network.xml").read_bytes(), (cached / "network.bin").read_bytes()
    return Network(engine, precision, image_size, graph, constants)


def cache_folder() -> Path:
    """Where converted models are kept: the user's cache folder, or a temporary one where that cannot be written."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orchard" / "networks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="orchard-networks-"))
    return folder


def _convert(weights: Weights, image_size: int, target: Path) -> None:
    model = load_keras_model(weights, image_size)
    openvino = import_openvino()
    import tensorflow

    signature = tensorflow.TensorSpec([None, image_size, image_size, 3], tensorflow.float32)
    forward = tensorflow.function(lambda pixels: model(pixels, training=False), input_signature=[signature])
    converted = convert(forward.get_concrete_function())
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        whole = Path(folder) / "whole"
        whole.mkdir()
        openvino.save_model(converted, whole / "network.xml", compress_to_fp16=False)
        # Another run may have been faster: its files are the same.
        if not target.exists():
            whole.rename(target)
