"""pipeline.network.imagenet: where Keras's own weights come from, without Keras."""

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import InputError, StorageError
from pipeline.network import imagenet
from pipeline.network.imagenet import KEPT, KERAS_FILE, imagenet_file
from pipeline.network.weights import find_weights
from pipeline.storage.local import LocalStorage

REAL = b"ImageNet's"
NAME = f"{hashlib.sha256(REAL).hexdigest()}.h5"


class Keras:
    """Keras with a server that has this file, or none."""

    def __init__(self, home: Path) -> None:
        self.file, self.served, self.downloads, self.applications = home / "models" / KERAS_FILE, REAL, 0, self

    def MobileNetV2(self, **_: object) -> None:  # noqa: N802
        if not self.served:
            raise Exception("URL fetch failure")
        self.downloads += 1
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_bytes(self.served)


@pytest.fixture
def keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keras:
    """A Keras with an empty cache; the network answers as with ImageNet's weights with REAL alone."""
    home = tmp_path / "keras"
    home.mkdir()
    made = Keras(home)
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.delenv(KEPT, raising=False)
    monkeypatch.setattr(imagenet, "import_keras", lambda: made)
    monkeypatch.setattr(imagenet, "_answers", lambda file: file.read_bytes() == REAL)
    return made


@pytest.fixture
def kept(tmp_path: Path, keras: Keras, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the bucket's."""
    monkeypatch.setenv(KEPT, str(tmp_path / "weights"))
    return tmp_path / "weights" / "imagenet"


def test_imagenet_weights_come_from_keras_s_cache_where_they_are_there(keras: Keras) -> None:
    keras.file.parent.mkdir()
    keras.file.write_bytes(b"put there by hand")
    assert find_weights("imagenet").file == keras.file
    assert keras.downloads == 0


def test_without_a_cache_and_a_way_to_keras_s_server_a_file_is_asked_for(keras: Keras) -> None:
    keras.served = b""
    with pytest.raises(InputError, match=r"^Keras's ImageNet weights are neither in its cache nor to be downloaded "):
        find_weights("imagenet")


def test_what_is_downloaded_is_kept_and_the_next_host_takes_it_from_there(keras: Keras, kept: Path) -> None:
    assert imagenet_file().read_bytes() == REAL
    assert [file.name for file in kept.iterdir()] == [NAME]
    keras.file.unlink()
    assert imagenet_file() == keras.file
    assert (keras.file.read_bytes(), keras.downloads) == (REAL, 1)
    assert [file.name for file in keras.file.parent.iterdir()] == [KERAS_FILE], "nothing half is left"


def test_something_else_that_comes_from_keras_s_server_is_neither_used_nor_kept(keras: Keras, kept: Path) -> None:
    keras.served = b"something else"
    for _ in range(2):
        with pytest.raises(InputError, match=r"^What came as Keras's ImageNet weights is something else"):
            imagenet_file()
    assert not keras.file.exists()
    assert not kept.exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (NAME, b"other weights", "is not what its name tells"),
        (f"{hashlib.sha256(b'x').hexdigest()}.h5", b"x", "does not hold ImageNet's weights"),
    ],
)
def test_a_copy_that_somebody_has_changed_is_not_used(
    keras: Keras, kept: Path, name: str, content: bytes, sentence: str
) -> None:
    kept.mkdir(parents=True)
    (kept / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"imagenet/{name} {sentence}; delete it, and start again\.$"):
        imagenet_file()
    assert not keras.file.exists()


def test_what_is_no_copy_by_its_name_is_left_alone(keras: Keras, kept: Path) -> None:
    kept.mkdir(parents=True)
    (kept / "notes.txt").write_bytes(b"x")
    assert imagenet_file().read_bytes() == REAL
    assert keras.downloads == 1


@pytest.mark.parametrize("call", ["list", "write"])
def test_a_bucket_that_does_not_answer_stops_nobody(
    keras: Keras, kept: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("no answer", "s3://b")

    monkeypatch.setattr(LocalStorage, call, refuse)
    assert imagenet_file().read_bytes() == REAL
    assert keras.downloads == 1
    assert kept.exists() is (call == "list")
