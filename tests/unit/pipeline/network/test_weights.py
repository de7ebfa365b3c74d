"""pipeline.network.weights."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.network import weights
from pipeline.network.weights import find_weights
from pipeline.storage.local import LocalStorage


def test_a_file_of_weights_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    found = find_weights(f"file://{tmp_path}/w.h5")
    assert (found.file, found.sha256) == (tmp_path / "w.h5", hashlib.sha256(b"weights").hexdigest())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.h5 cannot be read \(No such file or directory\)"):
        find_weights(str(tmp_path / "nowhere.h5"))


def test_random_weights_are_no_file() -> None:
    assert find_weights("random") == find_weights("random")
    assert find_weights("random").file is None


def test_weights_that_are_not_what_their_address_tells_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(b"mine").hexdigest()
    folder = tmp_path / digest
    folder.mkdir()
    (folder / "w.h5").write_bytes(b"mine")
    monkeypatch.setattr(weights, "open_storage", lambda _: LocalStorage.at(str(folder)))
    address = f"s3://b/weights/{digest}/w.h5"
    assert find_weights(address).sha256 == digest
    (folder / "w.h5").write_bytes(b"somebody else's")
    with pytest.raises(InputError, match="are not those that their address tells"):
        find_weights(address)


def test_weights_of_s3_are_copied_once_and_go_with_the_process(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"mine")
    words = f"""
from pipeline.network import weights
from pipeline.storage.local import LocalStorage
weights.open_storage = lambda parent: print(parent) or LocalStorage.at({str(tmp_path)!r})
found = [weights.find_weights(scheme + "://b/weights/w.h5") for scheme in ("s3", "s3a")]
print(*{{one.file for one in found}})
print(found[0].file.read_text(), *{{one.sha256 for one in found}})
"""
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", words],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, file, content = done.stdout.splitlines()
    # What Spark calls s3a:// is the same place.
    assert first == second == "s3://b/weights"
    assert Path(file).suffix == ".h5"
    assert content == f"mine {hashlib.sha256(b'mine').hexdigest()}"
    assert list((tmp_path / "tmp").iterdir()) == []
