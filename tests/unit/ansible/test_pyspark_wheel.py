"""pyspark's wheel, made of its source archive: the same bytes wherever it is made, and what pip would install."""

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import pyspark_wheel

# A small archive of pyspark's form.
FILES = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: pyspark\nVersion: 9.9\n",
    "LICENSE": "a license",
    "NOTICE": "a notice",
    "setup.py": "raise SystemExit('it was run')",
    "pyspark/__init__.py": "",
    "pyspark/find_spark_home.py": "#!/usr/bin/env python3\n",
    "pyspark/python/pyspark/shell.py": "# a shell\n",
    "lib/py4j-src.zip": "zipped",
    "deps/jars/spark-core.jar": "a jar",
    "deps/bin/spark-class": "#!/bin/sh\n",
    "deps/examples/als.py": "# an example\n",
    "pyspark.egg-info/SOURCES.txt": "",
}


def archive(folder: Path, names: list[str], mtime: int) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "pyspark-9.9.tar.gz", "w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(f"pyspark-9.9/{name}")
            entry.size, entry.mtime = len(FILES[name]), mtime
            tar.addfile(entry, io.BytesIO(FILES[name].encode()))
    return folder / "pyspark-9.9.tar.gz"


def test_the_same_files_make_the_same_wheel_and_nothing_of_them_is_run(tmp_path: Path) -> None:
    one = pyspark_wheel.of_archive(archive(tmp_path / "one", list(FILES), 1), tmp_path / "one")
    other = pyspark_wheel.of_archive(archive(tmp_path / "other", list(reversed(FILES)), 2), tmp_path / "other")
    assert one.name == "pyspark-9.9-py3-none-any.whl"
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [one.name, "pyspark-9.9.tar.gz"]


def test_it_has_each_file_where_pip_puts_it_and_a_record_of_all(tmp_path: Path) -> None:
    made = pyspark_wheel.of_archive(archive(tmp_path / "made", list(FILES), 1), tmp_path / "made")
    with zipfile.ZipFile(made) as wheel:
        contents = {entry.filename: wheel.read(entry) for entry in wheel.infolist()}
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in wheel.infolist()}
    assert {name: contents[name].decode() for name in contents if name.startswith("pyspark/")} == {
        "pyspark/__init__.py": "",
        "pyspark/bin/spark-class": "#!/bin/sh\n",
        "pyspark/examples/src/main/python/als.py": "# an example\n",
        "pyspark/find_spark_home.py": "#!/usr/bin/env python3\n",
        "pyspark/jars/spark-core.jar": "a jar",
        "pyspark/python/lib/py4j-src.zip": "zipped",
        "pyspark/python/pyspark/shell.py": "# a shell\n",
    }
    assert (modes["pyspark/bin/spark-class"], modes["pyspark/__init__.py"]) == (0o755, 0o644)
    record = contents.pop("pyspark-9.9.dist-info/RECORD").decode().splitlines()
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        for name, content in contents.items()
    }
    rows = [f"{name},sha256={digests[name]},{len(content)}" for name, content in contents.items()]
    assert sorted(record) == sorted([*rows, "pyspark-9.9.dist-info/RECORD,,"])


def test_the_hosts_locks_have_the_hash_beside_the_archives_and_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "requirements"))
    import pyspark_hash

    lock = f"py4j==1.0 \\\n    --hash=sha256:{'1' * 64}\npyspark==9.9 \\\n    --hash=sha256:{'2' * 64}\nzstd==1.0 \\\n"
    with_it = pyspark_hash.with_hash(lock, "9.9", "3" * 64)
    assert with_it == lock.replace("2" * 64, f"{'2' * 64} \\\n    --hash=sha256:{'3' * 64}")
    assert pyspark_hash.with_hash(with_it, "9.9", "3" * 64) == with_it
    with pytest.raises(SystemExit, match=r"^The lock names another pyspark than 9\.8, which is installed: run `make"):
        pyspark_hash.with_hash(lock, "9.8", "3" * 64)
    sys.modules.pop("pyspark_hash")
