"""The wheels of a host: from the bucket, else from the registry, as the locks say, or not at all."""

import hashlib
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

import locked_wheels
import pins
from locked_wheels import LEFT, PREFIX, WheelsError
from pins import Pin

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements"
FILES = {"apple-1.0-py3-none-any.whl": b"an apple", "sour_cherry-2.1-cp311-cp311-linux_x86_64.whl": b"a cherry"}
# Stands in pip's place: what it would fetch lies in a folder, and each call is noted.
PIP = """
import pathlib, re, shutil, sys
words = sys.argv[2:]
registry = pathlib.Path(sys.argv[1])
dest = next(word for word in words if word.startswith("--dest=")).partition("=")[2]
asked = pathlib.Path(words[words.index("-r") + 1]).read_text()
assert "--require-hashes" in words and "--no-deps" in words and "--only-binary=:all:" in words
with (registry / "asked").open("a") as noted:
    noted.write(asked)
for line in asked.splitlines():
    name, version = re.match(r"(.+?)==(\\S+)", line).groups()
    found = list(registry.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if not found:
        sys.exit(f"ERROR: No matching distribution found for {name}=={version}")
    shutil.copy(found[0], dest)
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


WANTED = [
    Pin("apple", "1.0", frozenset({sha256(b"an apple"), sha256(b"an apple for Windows")})),
    Pin("sour-cherry", "2.1", frozenset({sha256(b"a cherry")})),
]


class InMemory(dict[str, bytes]):
    """A shelf."""

    def get(self, key: str, into: BinaryIO, most: int) -> str:
        into.write(self[key][:most])
        return sha256(self[key][:most])

    def keys(self, prefix: str = "") -> Iterable[str]:
        return [key for key in self if key.startswith(prefix)]

    def put(self, key: str, file: Path, digest: str) -> None:
        assert sha256(file.read_bytes()) == digest
        self[key] = file.read_bytes()


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """The registry's folder."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "pip.py").write_text(PIP)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "taken").mkdir()
    return tmp_path / "taken"


def pip(registry: Path) -> list[str]:
    return [sys.executable, str(registry / "pip.py"), str(registry)]


def asked(registry: Path) -> int:
    return len((registry / "asked").read_text().splitlines()) if (registry / "asked").exists() else 0


def there(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def shelved(**changed: bytes) -> InMemory:
    """A bucket that has both; `changed` by a file's first word has something else under the same name."""
    contents = {name: changed.get(name.split("-")[0], content) for name, content in FILES.items()}
    return InMemory({f"{PREFIX}/{sha256(FILES[name])}/{name}": content for name, content in contents.items()})


def test_the_first_host_asks_the_registry_and_the_next_one_the_bucket_alone(
    registry: Path, folder: Path, tmp_path: Path
) -> None:
    bucket = InMemory()
    assert locked_wheels.take(WANTED, folder, bucket) == 0
    locked_wheels.leave(locked_wheels.fetch(WANTED, folder, pip(registry)), bucket)
    assert there(folder) == FILES
    assert bucket == shelved()
    (tmp_path / "next").mkdir()
    assert locked_wheels.take(WANTED, tmp_path / "next", bucket) == 2
    assert there(tmp_path / "next") == FILES
    assert locked_wheels.fetch(WANTED, tmp_path / "next", pip(registry)) == []
    assert asked(registry) == 2


def test_what_somebody_has_changed_in_the_bucket_is_left_and_that_alone_is_fetched(
    registry: Path, folder: Path
) -> None:
    assert locked_wheels.take(WANTED, folder, shelved(apple=b"a poisoned apple")) == 1
    assert set(there(folder)) == {"sour_cherry-2.1-cp311-cp311-linux_x86_64.whl"}
    [fetched] = locked_wheels.fetch(WANTED, folder, pip(registry))
    assert fetched.read_bytes() == b"an apple"
    assert asked(registry) == 1


@pytest.mark.parametrize(
    "key",
    [
        f"{PREFIX}/{sha256(b'planted')}/apple-1.0-py3-none-any.whl",
        f"{PREFIX}/{sha256(b'an apple')}/apple-9.9-py3-none-any.whl",
        f"{PREFIX}/{sha256(b'an apple')}/pear-1.0-py3-none-any.whl",
        f"{PREFIX}/{sha256(b'an apple')}/../apple-1.0-py3-none-any.whl",
        f"{PREFIX}/{sha256(b'an apple')}/apple-1.0-py3-none-any.whl/x",
        f"{PREFIX}/apple-1.0-py3-none-any.whl",
        f"{PREFIX}/{sha256(b'an apple')}/apple.whl",
    ],
)
def test_what_others_have_put_beside_it_under_another_name_or_hash_is_not_taken(folder: Path, key: str) -> None:
    bucket = InMemory({key: b"planted" if sha256(b"planted") in key else b"an apple"})
    assert locked_wheels.take(WANTED, folder, bucket) == 0
    assert there(folder) == {}


def test_a_registry_that_lacks_a_package_or_has_another_is_one_sentence(registry: Path, folder: Path) -> None:
    (registry / "apple-1.0-py3-none-any.whl").write_bytes(b"another apple")
    with pytest.raises(WheelsError, match=r"^The lock does not have the SHA-256 of what the registry has as apple: "):
        locked_wheels.fetch(WANTED, folder, pip(registry))
    (registry / "apple-1.0-py3-none-any.whl").unlink()
    (folder / "apple-1.0-py3-none-any.whl").unlink()
    with pytest.raises(WheelsError, match=r"registry \(No matching distribution found for apple==1\.0\): let"):
        locked_wheels.fetch(WANTED, folder, pip(registry))


def test_a_bucket_that_cannot_be_used_sends_the_host_to_the_registry(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise OSError("nobody\n answers")

    monkeypatch.setattr(locked_wheels, "role_keys", fails)
    monkeypatch.setenv("ORCHARD_BUCKET", "b")
    monkeypatch.setenv("AWS_REGION", "r")
    lock = tmp_path / "lock.txt"
    lock.write_text(WANTED[0].requirement().replace(" --hash", " \\\n    --hash") + "\n")
    assert locked_wheels.main("bucket", folder, str(lock)) == LEFT
    assert capsys.readouterr().out.startswith("the bucket cannot be used for wheels (nobody\\n answers)\n")


def test_a_host_without_a_role_has_no_bucket(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("host_bucket._metadata", lambda verb, *_: b"a token" if verb == "PUT" else b"")
    monkeypatch.setenv("ORCHARD_BUCKET", "b")
    monkeypatch.setenv("AWS_REGION", "r")
    (tmp_path / "lock.txt").touch()
    assert locked_wheels.main("bucket", folder, str(tmp_path / "lock.txt")) == 0
    assert capsys.readouterr().out.startswith("the bucket cannot be used for wheels (this host has no role)\n")


def test_uv_is_taken_out_of_its_wheel(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(folder / "uv-1.0-py3-none-linux.whl", "w") as wheel:
        wheel.writestr("uv-1.0.data/scripts/uv", "#!/bin/sh\necho uv\n")
        wheel.writestr("uv-1.0.data/scripts/uvx", "")
    assert locked_wheels.main("uv", folder, str(tmp_path / "uv" / "bin" / "uv")) == 0
    assert (tmp_path / "uv" / "bin" / "uv").stat().st_mode & 0o777 == 0o755


HOSTS = [
    {"python_full_version": "3.11.2", "python_version": "3.11", "platform_machine": "x86_64"},
    {"python_full_version": "3.13.1", "python_version": "3.13", "platform_machine": "aarch64"},
]
LINUX = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("lock", ["nodes", "workers", "bootstrap", "operator", "dev"])
def test_a_lock_is_read_as_packaging_reads_it(lock: str, host: dict[str, str]) -> None:
    text = (REQUIREMENTS / f"{lock}.txt").read_text()
    lines = [line.removesuffix("\\").strip() for line in text.splitlines() if line[:1].isalnum()]
    named = [Requirement(line) for line in lines]
    right = [str(its.specifier) for its in named if its.marker is None or its.marker.evaluate(LINUX | host)]
    found = pins.of_lock(text, LINUX | host)
    assert [f"=={pin.version}" for pin in found] == right
    assert all(pin.hashes for pin in found)


def test_versions_are_compared_by_their_numbers() -> None:
    assert pins.holds("python_full_version >= '3.9'", {"python_full_version": "3.11.2"})
    assert not pins.holds("'3.11.10' < python_full_version", {"python_full_version": "3.11.2"})


def test_a_marker_of_words_that_nobody_knows_is_not_passed_over() -> None:
    assert Marker("os_name == 'posix'").evaluate(LINUX)
    with pytest.raises(KeyError):
        pins.holds("extra == 'x'", LINUX)


def test_workers_have_what_the_master_has_in_the_same_versions_and_no_tensorflow_keras_or_jupyter() -> None:
    texts = {name: (REQUIREMENTS / name).read_text() for name in ("nodes.txt", "workers.txt")}
    locks = {name: {pin.name: pin for pin in pins.of_lock(text, LINUX | HOSTS[0])} for name, text in texts.items()}
    master, workers = locks["nodes.txt"], locks["workers.txt"]
    assert {name: master[name] for name in workers} == workers
    assert {"pyspark", "openvino", "boto3", "pyarrow", "grpcio"} <= set(workers)
    heavy = [name for name in workers if name.startswith(("tensorflow", "keras", "jupyter", "matplotlib", "ipy"))]
    assert heavy == []
    assert {"tensorflow-cpu", "keras", "jupyterlab"} <= set(master)
