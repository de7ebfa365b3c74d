"""The list of a run's pictures as it is kept: parts with a row group a task, and an index of the tasks, written last.

Runs of before (format 1) have the whole list in the index itself, with a column `task`; they are read and resumed, too.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.parallel import run_ahead
from pipeline.pictures.reading import Witnesses
from pipeline.pictures.spool import SPOOL_SCHEMA
from pipeline.run_folder.layout import CLASSES_KEY, FORMAT, INPUTS_KEY, inputs_part_key
from pipeline.settings import RunSettings
from pipeline.storage.base import Storage
from pipeline.storage.parquet import Ranges, parquet_bytes, parquet_table

_SETTINGS, _PROCESSOR, _FORMAT, _ABOUT = b"orchard.settings", b"orchard.processor", b"orchard.format", b"orchard.about"
# A part has whole tasks and at least so many rows, unless it is the last.
PART_ROWS = 65_536
# Parts on their way to the store at once.
_PUTS = 4
# Pictures from all over the list that stand in the index, for whoever shows some of them.
_SHOWN = 32
_INDEX_SCHEMA = pa.schema(
    [
        ("part", pa.int32()),
        ("row_group", pa.int32()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("part_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class TaskRows:
    """Where a task's rows are: which row group of which part, how many they are, their pictures' bytes, the part's."""

    task: int
    part: int
    row_group: int
    rows: int
    bytes: int
    part_bytes: int


@dataclass(frozen=True)
class StoredList:
    """A run's list: its tasks, and what is known of it without reading it.

    `witnesses` are small pictures from all over it. `old` is the whole list of a run of format 1.
    """

    tasks: tuple[TaskRows, ...]
    settings: dict[str, Any]
    processor: str
    classes: int
    witnesses: tuple[str, ...]
    old: pa.Table | None = None

    @property
    def rows(self) -> int:
        """How many pictures."""
        return sum(task.rows for task in self.tasks)


def write_list(
    run: Storage, tasks: Iterable[pa.Table], rows: int, counts: Counter[str], settings: RunSettings, processor: str = ""
) -> StoredList:
    """Store the list of `rows` pictures and this many of each class; with its index the run has begun.

    With the settings in the index, so that the two cannot disagree; with them the processor's name, where the whole run
    is to be done on one kind.
    """
    witnesses, shown = Witnesses(rows), _Shown(rows)
    places = _write_parts(run, _seen(tasks, witnesses, shown))
    run.write(CLASSES_KEY, _counts_as_parquet(counts))
    about = {"classes": len(counts), "witnesses": witnesses.paths, "shown": shown.pictures}
    stored = StoredList(tuple(places), settings.as_json(), processor, len(counts), tuple(witnesses.paths))
    metadata = {
        _SETTINGS: json.dumps(stored.settings).encode(),
        _PROCESSOR: processor.encode(),
        _FORMAT: str(FORMAT).encode(),
        _ABOUT: json.dumps(about).encode(),
    }
    columns = [[getattr(place, name) for place in places] for name in _INDEX_SCHEMA.names]
    index = pa.table(columns, schema=_INDEX_SCHEMA)
    run.write(INPUTS_KEY, parquet_bytes(index.replace_schema_metadata(metadata)))
    return stored


def read_list(run: Storage) -> StoredList:
    """The list of a run. Raises FileNotFoundError where none began, KeyError, ValueError, ArrowException for none."""
    index = parquet_table(run.read(INPUTS_KEY))
    metadata = index.schema.metadata or {}
    settings, processor = json.loads(metadata[_SETTINGS]), metadata.get(_PROCESSOR, b"").decode()
    if (found := int(metadata.get(_FORMAT, b"1"))) > FORMAT:
        raise ValueError(f"it is of format {found}, and this version of Orchard knows {FORMAT} at most")
    if found == 1:
        return _old_list(index, settings, processor)
    about = json.loads(metadata[_ABOUT])
    columns = (index[name].to_pylist() for name in _INDEX_SCHEMA.names)
    places = tuple(map(TaskRows, range(index.num_rows), *columns))
    return StoredList(places, settings, processor, about["classes"], tuple(about["witnesses"]))


def in_parts(run: Storage, stored: StoredList) -> StoredList:
    """The same list, whose rows lie in parts also where it is of format 1: the tasks' workers read them there."""
    if stored.old is None:
        return stored
    tasks = (read_rows(run, stored, task.task) for task in stored.tasks)
    return replace(stored, tasks=tuple(_write_parts(run, tasks)))


def read_rows(run: Storage, stored: StoredList, task: int) -> pa.Table:
    """The rows of a task: `path`, `label`, `bytes`. Raises as `rows_at`."""
    if stored.old is None:
        return rows_at(run, stored.tasks[task])
    start = sum(place.rows for place in stored.tasks[:task])
    return stored.old.slice(start, stored.tasks[task].rows)


def rows_at(run: Storage, place: TaskRows) -> pa.Table:
    """The rows of a task by their place in a part. Raises OSError or ArrowException for what cannot be read."""
    key = inputs_part_key(place.part)
    source = pa.PythonFile(Ranges(run, key, place.part_bytes), "r")
    file = pq.ParquetFile(source, metadata=_footer(run, key, place.part_bytes), pre_buffer=False)
    return file.read_row_group(place.row_group, use_threads=False)


def class_counts(run: Storage, stored: StoredList) -> Counter[str]:
    """How many pictures of each class were listed, in the order of the classes."""
    if stored.old is not None:
        return _counts_of(stored.old)
    table = parquet_table(run.read(CLASSES_KEY))
    return Counter(dict(zip(table["label"].to_pylist(), table["pictures"].to_pylist(), strict=True)))


@lru_cache(maxsize=16)
def _footer(run: Storage, key: str, size: int) -> pq.FileMetaData:
    return pq.read_metadata(pa.PythonFile(Ranges(run, key, size), "r"))


def _counts_as_parquet(counts: Counter[str]) -> bytes:
    columns = {"label": pa.array(counts.keys(), pa.string()), "pictures": pa.array(counts.values(), pa.int64())}
    return parquet_bytes(pa.table(columns))


def _counts_of(table: pa.Table) -> Counter[str]:
    counted = {row["values"]: row["counts"] for row in table["label"].value_counts().to_pylist()}
    return Counter(dict(sorted(counted.items())))


def _write_parts(run: Storage, tasks: Iterable[pa.Table]) -> list[TaskRows]:
    places: list[TaskRows] = []

    def write(part: tuple[int, bytes, list[tuple[int, int]]]) -> None:
        run.write(inputs_part_key(part[0]), part[1])

    def parts() -> Iterator[tuple[int, bytes, list[tuple[int, int]]]]:
        for part in _encoded(tasks):
            number, data, groups = part
            for group, (rows, size) in enumerate(groups):
                places.append(TaskRows(len(places), number, group, rows, size, len(data)))
            yield part

    for _ in run_ahead(write, parts(), _PUTS, _PUTS):
        pass
    return places


def _encoded(tasks: Iterable[pa.Table]) -> Iterator[tuple[int, bytes, list[tuple[int, int]]]]:
    """For each part its number, its content, and of each task in it the rows and the pictures' bytes."""
    number, sink, groups = 0, io.BytesIO(), list[tuple[int, int]]()
    writer = _writer(sink)
    for task in tasks:
        if sum(rows for rows, _ in groups) >= PART_ROWS:
            writer.close()
            yield number, sink.getvalue(), groups
            number, sink, groups = number + 1, io.BytesIO(), []
            writer = _writer(sink)
        writer.write_table(task.select(SPOOL_SCHEMA.names).cast(SPOOL_SCHEMA), task.num_rows)
        groups.append((task.num_rows, int(task["bytes"].to_numpy().sum())))
    writer.close()
    yield number, sink.getvalue(), groups


def _writer(sink: io.BytesIO) -> pq.ParquetWriter:
    return pq.ParquetWriter(sink, SPOOL_SCHEMA, compression="zstd", use_dictionary=["label"], write_statistics=False)


def _seen(tasks: Iterable[pa.Table], *by: "Witnesses | _Shown") -> Iterator[pa.Table]:
    for task in tasks:
        for each in by:
            each.look(task)
        yield task


class _Shown:
    """Looks at a list in order, and keeps path and label of a few pictures from all over it."""

    def __init__(self, rows: int) -> None:
        count = min(_SHOWN, rows)
        self._wanted = [(2 * number + 1) * rows // (2 * count) for number in range(count)]
        self._seen = 0
        self.pictures: list[list[str]] = []

    def look(self, table: pa.Table) -> None:
        """Look at the next rows."""
        until = self._seen + table.num_rows
        for row in self._wanted:
            if self._seen <= row < until:
                self.pictures.append([table[name][row - self._seen].as_py() for name in ("path", "label")])
        self._seen = until


def _old_list(table: pa.Table, settings: dict[str, Any], processor: str) -> StoredList:
    rows = np.bincount(table["task"].to_numpy())
    sizes = np.bincount(table["task"].to_numpy(), table["bytes"].to_numpy()).astype(np.int64)
    counted = enumerate(zip(rows.tolist(), sizes.tolist(), strict=True))
    places = tuple(TaskRows(task, -1, -1, *both, 0) for task, both in counted)
    witnesses = Witnesses(table.num_rows)
    witnesses.look(table)
    classes = len(table["label"].unique())
    return StoredList(places, settings, processor, classes, tuple(witnesses.paths), table.replace_schema_metadata())
