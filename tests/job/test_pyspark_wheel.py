"""The wheel that hosts make of pyspark's archive is the one that the locks name: made here of what is installed."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_locks_have_the_hash_of_the_wheel_of_the_pyspark_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "requirements"))
    import pyspark_hash

    for lock in pyspark_hash.LOCKS:
        (tmp_path / lock).write_text((ROOT / "requirements" / lock).read_text())
    monkeypatch.setattr(pyspark_hash, "FOLDER", tmp_path)
    pyspark_hash.main()
    for lock in pyspark_hash.LOCKS:
        assert (tmp_path / lock).read_text() == (ROOT / "requirements" / lock).read_text()
    sys.modules.pop("pyspark_hash")
