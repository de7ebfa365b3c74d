"""Running the network in a worker: compiled once a process and kept between tasks."""

import socket
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.network.frameworks import import_openvino
from pipeline.network.keras_model import FEATURES, Network, build_keras_model


class Engine(Protocol):
    """Pixels to features, one thread; `batch` is the number of pictures that it takes at once."""

    batch: int

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (n, size, size, 3) with n <= batch to float32 (n, 1280)."""


def compile_graph(network: Network, batch: int, **more: object) -> Any:
    """The converted model, compiled for one thread and a fixed batch; scaling to -1..1 is part of it."""
    openvino = import_openvino()
    from openvino.preprocess import PrePostProcessor

    core = openvino.Core()
    model = core.read_model(network.graph, network.constants)
    model.reshape([batch, network.image_size, network.image_size, 3])
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    # x / 127.5 - 1, as keras.applications.mobilenet_v2.preprocess_input
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(127.5).mean(1.0)
    options = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        # Left to itself OpenVINO ties every process's thread to the same core, and the others stay idle.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": network.precision,
    }
    return core.compile_model(steps.build(), "CPU", options | more)


def has_bf16() -> bool:
    """Whether this machine's processor computes at bf16."""
    return bool("BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


class OpenVinoEngine:
    """The converted model, compiled for a fixed batch. Raises InputError where it is at bf16 and the processor not."""

    # What two pictures leave between layers stays in a core's own cache: 8 at once run a fifth slower at f32.
    batch = 2

    def __init__(self, network: Network) -> None:
        if network.precision == "bf16" and not has_bf16():
            raise InputError(f"The processor of {socket.gethostname()} has no bf16 arithmetic; take f32 as precision.")
        self._request = compile_graph(network, self.batch).create_infer_request()
        self._batch = np.zeros((self.batch, network.image_size, network.image_size, 3), np.uint8)

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A short batch is padded, so that a picture's features do not depend on where its task ends.
        self._batch[: len(pixels)] = pixels
        result = self._request.infer([self._batch], share_inputs=True)[0]
        return np.array(result[: len(pixels)], np.float32).reshape(-1, FEATURES)


class TensorFlowEngine:
    """The reference: Keras itself, batch by batch. Raises InputError where there is no TensorFlow."""

    batch = 8

    def __init__(self, network: Network) -> None:
        self._model = build_keras_model(network.image_size)
        self._model.set_weights(list(network.weights))
        import tensorflow

        self._forward = tensorflow.function(lambda pixels: self._model(pixels, training=False), reduce_retracing=True)
        self._batch = np.zeros((self.batch, network.image_size, network.image_size, 3), np.float32)

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._batch[: len(pixels)] = pixels.astype(np.float32) / 127.5 - 1
        return np.array(self._forward(self._batch)[: len(pixels)], np.float32)


def _require_tensorflow() -> None:
    if find_spec("tensorflow") is None:
        raise InputError(
            f"{socket.gethostname()} has no TensorFlow: set worker_tensorflow = true in terraform.tfvars and run "
            "`make up`, or take openvino as engine."
        )


def _limit_tensorflow_threads() -> None:
    import tensorflow

    # One task is one core: threads of one worker would only push the others aside.
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)


@lru_cache(maxsize=1)
def engine_for(network: Network) -> Engine:
    """The engine of this process for this broadcast network, made at the first call."""
    if network.engine == "tensorflow":
        _require_tensorflow()
        _limit_tensorflow_threads()
        return TensorFlowEngine(network)
    return OpenVinoEngine(network)
