"""The run's single files: the list, the errors and the CSV, written by the driver."""

import csv
import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.csv

from pipeline.run_folder.parts import PictureError, pca_key, vectors_of
from pipeline.settings import RunSettings
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes, parquet_table

INPUTS_KEY = "inputs.parquet"
ERRORS_KEY = "errors.parquet"
CSV_KEY = "pca.csv"
_SETTINGS = b"orchard.settings"
_ERRORS_SCHEMA = pa.schema([("path", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
# Parts fetched ahead while the CSV is written in order.
_PARTS_AHEAD = 4


def write_inputs(run: Storage, inputs: pa.Table, settings: RunSettings) -> None:
    """Store the list with the settings in its metadata: one object, so that the two cannot disagree."""
    metadata = {_SETTINGS: json.dumps(settings.as_json()).encode()}
    run.write(INPUTS_KEY, parquet_bytes(inputs.replace_schema_metadata(metadata), dictionary=["label"]))


def read_inputs(run: Storage) -> tuple[pa.Table, dict[str, Any]]:
    """The list and the settings as `RunSettings.as_json` gave them. Raises FileNotFoundError where no run began."""
    table = parquet_table(run.read(INPUTS_KEY))
    return table, json.loads(table.schema.metadata[_SETTINGS])


def write_errors(run: Storage, errors: list[PictureError]) -> dict[str, int]:
    """Store errors.parquet (also when empty) and count the reasons, most frequent first."""
    rows = [{"path": error.path, "reason": error.reason, "detail": error.detail} for error in errors]
    run.write(ERRORS_KEY, parquet_bytes(pa.Table.from_pylist(rows, _ERRORS_SCHEMA), dictionary=["reason"]))
    return dict(Counter(error.reason for error in errors).most_common())


def read_errors(run: Storage) -> pa.Table:
    """errors.parquet."""
    return parquet_table(run.read(ERRORS_KEY))


def read_pca(run: Storage, task: int) -> pa.Table:
    """A task's projection part."""
    return parquet_table(run.read(pca_key(task)))


def write_csv(run: Storage, tasks: int, components: int) -> None:
    """pca.csv: `path,label,pc1..pck`, one row a picture with features, in the list's order."""
    names = ["path", "label", *(f"pc{number}" for number in range(1, components + 1))]
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    options = pyarrow.csv.WriteOptions(include_header=False)
    with run.writer(CSV_KEY) as stream, ThreadPoolExecutor(_PARTS_AHEAD) as pool:
        stream.write(header.getvalue().encode())
        for start in range(0, tasks, _PARTS_AHEAD):
            for table in pool.map(lambda task: read_pca(run, task), range(start, min(start + _PARTS_AHEAD, tasks))):
                if table.num_rows:
                    columns = [table["path"], table["label"], *map(pa.array, vectors_of(table, "pca").T.copy())]
                    pyarrow.csv.write_csv(pa.table(columns, names=names), stream, options)
