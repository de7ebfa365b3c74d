"""pipeline.storage.parquet."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.storage.parquet import parquet_bytes, parquet_table

TABLE = pa.table({"path": ["a/1.jpg", "a/2.jpg"], "size": [3, 4]}).replace_schema_metadata({"key": "value"})

READ_AND_COUNT_THREADS = """
import os, sys
from pathlib import Path
from pipeline.storage.parquet import parquet_table
before = len(os.listdir("/proc/self/task"))
for _ in range(20):
    parquet_table(Path(sys.argv[1]).read_bytes())
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_a_table_comes_back_with_its_metadata() -> None:
    table = parquet_table(parquet_bytes(TABLE))
    assert table.equals(TABLE)
    assert table.schema.metadata == TABLE.schema.metadata


@pytest.mark.parametrize("length", [0, 3, 100])
def test_a_cut_file_is_an_error(length: int) -> None:
    with pytest.raises(pa.ArrowInvalid):
        parquet_table(parquet_bytes(TABLE)[:length])


def test_reading_leaves_no_thread_that_could_abort_the_end_of_python(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(parquet_bytes(TABLE))
    command = [sys.executable, "-c", READ_AND_COUNT_THREADS, str(tmp_path / "table.parquet")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "0\n"
