"""pipeline.network.imagenet: where Keras's own weights come from, without Keras."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.errors import InputError, StorageError
from pipeline.network import imagenet
from pipeline.network.imagenet import KEPT, KERAS_FILE, imagenet_file
from pipeline.network.weights import find_weights
from pipeline.storage.local import LocalStorage

REAL = b"ImageNet's"
ADDRESS = f"https://example.org/{KERAS_FILE}"
NAME = f"{hashlib.sha256(REAL).hexdigest()}.h5"


class Keras:
    """Keras with a server that has this file, or none."""

    def __init__(self, home: Path) -> None:
        self.file, self.served, self.downloads, self.utils = home / "models" / KERAS_FILE, REAL, 0, self

    def get_file(self, name: str, origin: str, cache_dir: str) -> str:
        if not self.served:
            raise Exception("URL fetch failure")
        assert origin == ADDRESS
        self.downloads += 1
        file = Path(cache_dir) / name
        file.write_bytes(self.served)
        return str(file)


@pytest.fixture
def keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keras:
    """A Keras with an empty cache; the network answers as with ImageNet's weights with REAL alone."""
    home = tmp_path / "keras"
    home.mkdir()
    made = Keras(home)
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.delenv(KEPT, raising=False)
    monkeypatch.setattr(imagenet, "import_keras", lambda: made)
    monkeypatch.setattr(imagenet, "_origin", lambda: ADDRESS)
    monkeypatch.setattr(imagenet, "_answers", lambda file: file.read_bytes() == REAL)
    return made


@pytest.fixture
def kept(tmp_path: Path, keras: Keras, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the bucket's."""
    monkeypatch.setenv(KEPT, str(tmp_path / "weights"))
    return tmp_path / "weights" / "imagenet"


def test_imagenet_weights_come_from_keras_s_cache_where_they_are_there(keras: Keras) -> None:
    keras.file.parent.mkdir()
    keras.file.write_bytes(REAL)
    assert find_weights("imagenet").file == keras.file
    assert keras.downloads == 0


@pytest.mark.parametrize("note", [None, NAME.removesuffix(".h5"), "n\xf6"])
def test_what_lies_in_the_cache_and_is_not_imagenet_s_is_fetched_again(keras: Keras, note: str | None) -> None:
    keras.file.parent.mkdir()
    keras.file.write_bytes(REAL[:5])
    if note:
        keras.file.with_name(f"{KERAS_FILE}.sha256").write_text(note, "latin-1")
    assert imagenet_file().read_bytes() == REAL
    assert keras.downloads == 1


def test_the_network_is_asked_once_and_the_digest_beside_the_file_from_then_on(
    keras: Keras, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.file.parent.mkdir()
    keras.file.write_bytes(REAL)
    asked: list[Path] = []
    monkeypatch.setattr(imagenet, "_answers", lambda file: not asked.append(file))
    for _ in range(2):
        assert imagenet_file() == keras.file
    assert asked == [keras.file]
    keras.file.write_bytes(b"changed meanwhile")
    imagenet_file()
    assert asked == [keras.file] * 2


def test_a_download_that_is_cut_short_leaves_nothing_in_the_cache(
    keras: Keras, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def killed(name: str, _: str, cache_dir: str) -> str:
        (Path(cache_dir) / name).write_bytes(REAL[:5])
        seen.append(keras.file.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(keras, "get_file", killed)
    with pytest.raises(KeyboardInterrupt):
        imagenet_file()
    assert seen == [False]
    assert not keras.file.exists()


def test_without_a_cache_and_a_way_to_keras_s_server_a_file_is_asked_for(keras: Keras) -> None:
    keras.served = b""
    said = r"^Keras's ImageNet weights are neither in its cache nor to be downloaded from here \(URL fetch failure\); "
    with pytest.raises(InputError, match=said):
        find_weights("imagenet")


@pytest.mark.parametrize("told", imagenet.CERTIFICATES)
def test_the_download_goes_by_a_companys_certificates_whichever_tool_was_told_of_them(
    told: str, keras: Keras, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*imagenet.CERTIFICATES, imagenet.PYTHONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(told, "/company.pem")
    seen: list[str | None] = []
    get = keras.get_file

    def watched(name: str, origin: str, cache_dir: str) -> str:
        seen.append(os.environ.get(imagenet.PYTHONS))
        return get(name, origin, cache_dir)

    monkeypatch.setattr(keras, "get_file", watched)
    imagenet_file()
    assert seen == ["/company.pem"]
    assert imagenet.PYTHONS not in os.environ


def test_a_certificate_that_is_not_trusted_is_told_with_the_variable_that_names_it(
    keras: Keras, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on x: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")

    monkeypatch.setattr(keras, "get_file", refused)
    with pytest.raises(InputError, match=r"is named by AWS_CA_BUNDLE=/path/to/certificate\.pem\); give a file"):
        find_weights("imagenet")


def test_what_is_downloaded_is_kept_and_the_next_host_takes_it_from_there(keras: Keras, kept: Path) -> None:
    assert imagenet_file().read_bytes() == REAL
    assert [file.name for file in kept.iterdir()] == [NAME]
    keras.file.unlink()
    assert imagenet_file() == keras.file
    assert (keras.file.read_bytes(), keras.downloads) == (REAL, 1)
    there = sorted(file.name for file in keras.file.parent.iterdir())
    assert there == [KERAS_FILE, f"{KERAS_FILE}.sha256"], "nothing half is left"


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
