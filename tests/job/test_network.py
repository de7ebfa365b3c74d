"""pipeline.network with Keras: the numbers of the network and its way to OpenVINO, without Spark."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.network import engine as running_engine
from pipeline.network import imagenet
from pipeline.network.engine import OpenVinoEngine, TensorFlowEngine
from pipeline.network.keras_model import FEATURES, build_keras_model, prepare_network
from pipeline.network.weights import find_weights
from pipeline.pixels.decode import decode


@pytest.fixture(scope="module")
def some_pictures(fruits: Path) -> list[Path]:
    """64 real pictures, spread over the classes."""
    return sorted((fruits / "Test").glob("*/*.jpg"))[::320][:64]


@pytest.fixture(scope="module")
def keras_features(some_pictures: list[Path], imagenet_weights: Path) -> NDArray[np.float32]:
    """The reference: Keras's own preprocessing and `predict`."""
    import keras

    model = keras.applications.MobileNetV2(include_top=False, pooling="avg", input_shape=(224, 224, 3), weights=None)
    model.load_weights(str(imagenet_weights))
    pixels = np.stack(
        [np.asarray(Image.open(path).convert("RGB").resize((224, 224)), np.float32) for path in some_pictures]
    )
    features: NDArray[np.float32] = model.predict(pixels / 127.5 - 1, verbose=0)
    return features


@pytest.mark.parametrize(("engine", "kind"), [("openvino", OpenVinoEngine), ("tensorflow", TensorFlowEngine)])
def test_features_equal_keras_s_on_real_pictures(
    engine: str,
    kind: type[OpenVinoEngine | TensorFlowEngine],
    some_pictures: list[Path],
    keras_features: NDArray[np.float32],
    imagenet_weights: Path,
) -> None:
    runner = kind(prepare_network(find_weights(str(imagenet_weights)), engine, "f32", 224))
    pixels = np.stack([decode(path.read_bytes(), 224) for path in some_pictures])
    batches = [runner.features(pixels[start : start + runner.batch]) for start in range(0, len(pixels), runner.batch)]
    assert np.abs(np.concatenate(batches) - keras_features).max() < 1e-4
    assert keras_features.std() > 0.1


# A worker's Python: what its tasks import, with no TensorFlow and no Keras to be had.
A_WORKER = """
import pickle, sys
for name in ("tensorflow", "keras", "jupyterlab", "IPython"):
    sys.modules[name] = None
import numpy as np
import pipeline.features.arrow, pipeline.features.running, pipeline.job.extract, pipeline.process.daemon
from pipeline.network.engine import engine_for
found = engine_for(pickle.load(sys.stdin.buffer))
print(found.features(np.zeros((2, 64, 64, 3), np.uint8)).shape)
"""


def test_a_worker_needs_neither_tensorflow_nor_keras() -> None:
    given = pickle.dumps(prepare_network(find_weights("random"), "openvino", "f32", 64))
    done = subprocess.run([sys.executable, "-c", A_WORKER], input=given, capture_output=True, check=False)
    assert done.stdout.decode().strip() == f"(2, {FEATURES})", done.stderr.decode()


def test_an_engine_that_a_worker_lacks_is_one_sentence_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    network = prepare_network(find_weights("random"), "tensorflow", "f32", 64)
    monkeypatch.setattr(running_engine, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r" has no TensorFlow: set worker_tensorflow = true in terraform\.tfvars"):
        running_engine.engine_for(network)


def test_a_picture_s_features_do_not_depend_on_its_batch() -> None:
    runner = OpenVinoEngine(prepare_network(find_weights("random"), "openvino", "f32", 64))
    pixels = np.random.default_rng(1).integers(0, 256, (runner.batch, 64, 64, 3), np.uint8)
    together = runner.features(pixels)
    assert together.shape == (runner.batch, FEATURES)
    for row in range(runner.batch):
        assert np.array_equal(runner.features(pixels[row : row + 1]), together[row : row + 1])


def test_imagenet_s_weights_are_known_by_their_answer_and_no_others_are(imagenet_weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.weights.h5"
    build_keras_model(224).save_weights(str(other))
    (tmp_path / "no.h5").write_bytes(b"no HDF5")
    assert [imagenet._answers(file) for file in (imagenet_weights, other, tmp_path / "no.h5")] == [True, False, False]


def test_keras_downloads_imagenet_s_weights_elsewhere_and_they_lie_in_its_cache_once_they_are_known(
    imagenet_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.applications import mobilenet_v2

    served, home = tmp_path / "server" / imagenet.KERAS_FILE, tmp_path / "home"
    served.parent.mkdir()
    monkeypatch.setattr(mobilenet_v2, "BASE_WEIGHT_PATH", f"{served.parent.as_uri()}/")
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.delenv(imagenet.KEPT, raising=False)
    served.write_bytes(imagenet_weights.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"^What came as Keras's ImageNet weights is something else"):
        imagenet.imagenet_file()
    assert not home.exists()
    served.write_bytes(imagenet_weights.read_bytes())
    assert imagenet.imagenet_file().read_bytes() == imagenet_weights.read_bytes()
    assert imagenet.imagenet_file().is_relative_to(home)


def test_random_weights_are_the_same_each_time() -> None:
    first, second = (build_keras_model(64).get_weights() for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_broken_weights_file_and_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import keras

    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"no HDF5")
    other = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(str(other))
    for file in (broken, other):
        with pytest.raises(InputError, match=r"does not hold weights of MobileNetV2 1\.0 without the classifier"):
            prepare_network(find_weights(str(file)), "openvino", "f32", 224)


CONVERT_UNDER_WATCH = """
import sys
called = []
sys.addaudithook(lambda event, args: called.append((event, args)) if event in
    ("socket.connect", "socket.getaddrinfo", "socket.sendto") else None)
from pipeline.network.keras_model import prepare_network
from pipeline.network.weights import find_weights
assert prepare_network(find_weights("random"), "openvino", "f32", 32).constants
import socket
try:
    socket.create_connection(("127.0.0.1", 9), 0.1)
except OSError:
    pass
assert any(event == "socket.connect" for event, _ in called), "the watch sees nothing"
called = [call for call in called if "127.0.0.1" not in repr(call)]
sys.exit(repr(called) if called else 0)
"""


def test_converting_a_model_talks_to_nobody(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CONVERT_UNDER_WATCH], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
