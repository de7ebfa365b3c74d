"""Loading Keras and OpenVINO only where they are needed, quietly, and without a report to their makers."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_keras() -> Any:
    """Keras on TensorFlow on the CPU, quietly: its start-up banners would bury the progress bar."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _closed_stderr():
        import keras
        import tensorflow  # noqa: F401  # loaded here, so that its banners are not printed later

    return keras


@contextmanager
def _closed_stderr() -> Iterator[None]:
    """TensorFlow's C++ side prints before its log level is read; only closing the file keeps it quiet."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def import_openvino() -> Any:
    """OpenVINO without its telemetry package, which would report each conversion to its makers."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes the import fail; OpenVINO then has a stub
    import openvino

    return openvino


def convert(function: Any) -> Any:
    """TensorFlow's concrete function as a model of OpenVINO."""
    openvino = import_openvino()
    import tensorflow
    from openvino.frontend.tensorflow import utils

    # It asks for TensorFlow's version by one exec() that imports it and one that deletes the name; since Python 3.13
    # (PEP 667) each has locals of its own, and the second finds nothing.
    utils.get_environment_setup = lambda _: {"tensorflow": tensorflow.__version__}
    return openvino.convert_model(function)
