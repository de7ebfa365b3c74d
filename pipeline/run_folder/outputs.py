"""The run's single files that are no record: the list, its attempts, the errors and the CSV, written by the driver."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.run_folder.layout import ATTEMPTS_KEY, CSV_KEY, ERRORS_KEY, INPUTS_KEY, pca_key
from pipeline.run_folder.parts import PictureError, vectors_of
from pipeline.settings import RunSettings
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes, parquet_table

_SETTINGS, _PROCESSOR = b"orchard.settings", b"orchard.processor"
_ERRORS_SCHEMA = pa.schema([("path", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
# Parts fetched ahead while the CSV is written in order.
_PARTS_AHEAD = 4


def write_inputs(run: Storage, inputs: pa.Table, settings: RunSettings, processor: str = "") -> None:
    """Store the list with the settings in its metadata: one object, so that the two cannot disagree.

    With them the processor's name, where the whole run is to be done on one kind.
    """
    metadata = {_SETTINGS: json.dumps(settings.as_json()).encode(), _PROCESSOR: processor.encode()}
    run.write(INPUTS_KEY, parquet_bytes(inputs.replace_schema_metadata(metadata), dictionary=["label"]))


def read_inputs(run: Storage) -> tuple[pa.Table, dict[str, Any]]:
    """The list and the settings as `RunSettings.as_json` gave them. Raises FileNotFoundError where no run began."""
    table = parquet_table(run.read(INPUTS_KEY))
    return table, json.loads(table.schema.metadata[_SETTINGS])


def processor_of(inputs: pa.Table) -> str:
    """The processor that the run of this list was begun on; empty where it may be any."""
    name: bytes = (inputs.schema.metadata or {}).get(_PROCESSOR, b"")
    return name.decode()


def count_attempt(run: Storage) -> int:
    """Which attempt at the run this is that resumes it, written before anything else is: a SIGKILL takes no count back.

    The first attempt, which writes the list, leaves no such object.
    """
    try:
        earlier = int(json.loads(run.read(ATTEMPTS_KEY))["attempts"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        earlier = 1
    run.write(ATTEMPTS_KEY, json.dumps({"attempts": earlier + 1}).encode())
    return earlier + 1


def write_errors(run: Storage, errors: list[PictureError]) -> None:
    """Store errors.parquet, also when it is empty."""
    rows = [{"path": error.path, "reason": error.reason, "detail": error.detail} for error in errors]
    run.write(ERRORS_KEY, parquet_bytes(pa.Table.from_pylist(rows, _ERRORS_SCHEMA), dictionary=["reason"]))


def read_errors(run: Storage) -> pa.Table:
    """errors.parquet."""
    return parquet_table(run.read(ERRORS_KEY))


def read_pca(run: Storage, task: int) -> pa.Table:
    """A task's projection part."""
    return parquet_table(run.read(pca_key(task)))


def as_text(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells with an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV Injection).

    One that begins with an apostrophe gets another: who takes the first one off has every name as it was.
    """
    is_formula = pc.match_substring_regex(cells, "^['=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", cells, ""), cells)


def write_csv(run: Storage, tasks: int, components: int) -> None:
    """pca.csv: `path,label,pc1..pck`, one row a picture with features, in the list's order; see `as_text`."""
    names = ["path", "label", *(f"pc{number}" for number in range(1, components + 1))]
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    options = pyarrow.csv.WriteOptions(include_header=False)
    with run.writer(CSV_KEY) as stream, ThreadPoolExecutor(_PARTS_AHEAD) as pool:
        stream.write(header.getvalue().encode())
        for start in range(0, tasks, _PARTS_AHEAD):
            for table in pool.map(lambda task: read_pca(run, task), range(start, min(start + _PARTS_AHEAD, tasks))):
                if table.num_rows:
                    names_of_rows = as_text(table["path"]), as_text(table["label"])
                    columns = [*names_of_rows, *map(pa.array, vectors_of(table, "pca").T.copy())]
                    pyarrow.csv.write_csv(pa.table(columns, names=names), stream, options)


def csv_rows(data: bytes) -> int:
    """How many rows a CSV has beside its header; a name may hold a line's end, between quotation marks."""
    outside = data.split(b'"')[::2]
    return max(sum(piece.count(b"\n") for piece in outside) - 1, 0)
