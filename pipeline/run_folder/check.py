"""Whether a finished run is whole: its parts, counts, sums and model, read back a part at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError, StorageError
from pipeline.pca import spark_ml
from pipeline.pca.fit import PcaModel
from pipeline.run_folder.csv_files import rows_of_csv, rows_of_part
from pipeline.run_folder.errors_file import counted_reasons
from pipeline.run_folder.inputs import StoredList, read_list, read_rows
from pipeline.run_folder.layout import (
    CSV_FOLDER,
    CSV_KEY,
    ERRORS_KEY,
    FEATURES_FOLDER,
    INPUTS_KEY,
    PARTS_KEY,
    PCA_FOLDER,
    RECORD_KEY,
    csv_key,
    feature_key,
    inputs_part_key,
    pca_key,
)
from pipeline.run_folder.part_records import Part, read_parts
from pipeline.run_folder.parts import read_pca, sha256, vectors_of, whole_part
from pipeline.run_folder.record import COMPLETE, RunRecord, read_record
from pipeline.settings import CSV_ONE, CSV_PARTS
from pipeline.storage.base import Storage

# Projections are stored as float32; the fit itself is exact to far more.
PROJECTION_TOLERANCE = 1e-3
ORTHONORMAL_TOLERANCE = 1e-9
# Tasks whose parts a quick check reads, from all over the list.
QUICK_TASKS = 16


@dataclass
class _Run:
    """What a run says of itself."""

    storage: Storage
    record: RunRecord
    inputs: StoredList
    parts: tuple[Part, ...]
    model: PcaModel


class _Fault(Exception):  # noqa: N818  # a sentence on its way, and nobody's failure
    """Why nothing more can be checked."""


def check_run(storage: Storage, *, is_quick: bool = False) -> list[str]:
    """What is wrong with the run, in sentences; empty where nothing is.

    A quick check reads the records, looks whether all parts are there in their sizes, and reads those of a few tasks.
    Raises InputError where no run ended there, StorageError where the storage fails.
    """
    try:
        run = _opened(storage)
    except _Fault as fault:
        return [str(fault)]
    if len(run.inputs.tasks) != len(run.parts):
        return [*_model_faults(run), f"The run has {len(run.parts)} parts, the list has {len(run.inputs.tasks)} tasks."]
    by_way = _quick_faults(run) if is_quick else _all_part_faults(run)
    return [*_model_faults(run), *_count_faults(run), *by_way, *_file_faults(run, is_quick)]


def _opened(storage: Storage) -> _Run:
    """What must be there for anything to be checked. Raises as `check_run`, and _Fault."""
    try:
        record = read_record(storage)
    except FileNotFoundError:
        raise InputError(f"{storage.uri} holds no ended run; give the folder that {RECORD_KEY} lies in.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise _Fault(f"{RECORD_KEY} is broken: {error}.") from error
    try:
        inputs = read_list(storage)
    except FileNotFoundError:
        raise _Fault(
            f"{INPUTS_KEY} is missing; a copy by `make results` leaves it in the bucket: check the run there."
        ) from None
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise _Fault(f"{INPUTS_KEY} is broken: {error}.") from error
    if record.status != COMPLETE:
        raise _Fault(f"The run ended as '{record.status}', not complete.")
    try:
        parts = read_parts(storage, record)
    except StorageError:
        raise
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise _Fault(f"{PARTS_KEY} is missing or broken: {error}.") from error
    try:
        model = spark_ml.load(storage)
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise _Fault(f"pca_model is missing or broken: {error}.") from error
    return _Run(storage, record, inputs, parts, model)


def _model_faults(run: _Run) -> Iterator[str]:
    width = run.model.components.shape[1]
    if width != run.record.components:
        yield f"pca_model has {width} components, run.json says {run.record.components}."
    off = np.abs(run.model.components.T @ run.model.components - np.eye(width)).max()
    if off > ORTHONORMAL_TOLERANCE:
        yield f"The components are not orthonormal (off by {off:.1e})."
    if not np.allclose(run.model.explained_variance_ratio, run.record.explained_variance_ratio):
        yield "The explained variance in pca_model is not that of run.json."


def _all_part_faults(run: _Run) -> Iterator[str]:
    sums, rows = np.zeros(len(run.model.mean)), 0
    for part in run.parts:
        faults, vectors = _task_faults(run, part)
        yield from faults
        sums += vectors.sum(axis=0, dtype=np.float64)
        rows += len(vectors)
    if rows and not np.allclose(sums / rows, run.model.mean, atol=1e-9):
        yield "The mean beside pca_model is not the mean of the features."


def _task_faults(run: _Run, part: Part) -> tuple[list[str], NDArray[np.float32]]:
    """What is wrong with a task's parts, and its features, none of them where they cannot be trusted."""
    task, none = part.task, np.empty((0, len(run.model.mean)), np.float32)
    try:
        features, projected = run.storage.read(feature_key(task)), run.storage.read(pca_key(task))
    except StorageError:
        raise
    except OSError as error:
        return [f"A part of task {task} cannot be read: {error}."], none
    faults = []
    if sha256(features) != part.features:
        faults.append(f"{feature_key(task)} has changed since the run.")
    if sha256(projected) != part.pca:
        faults.append(f"{pca_key(task)} has changed since the run.")
    try:
        listed = read_rows(run.storage, run.inputs, task)["path"].to_pylist()
    except StorageError:
        raise
    except (OSError, pa.ArrowException) as error:
        return [*faults, f"{inputs_part_key(run.inputs.tasks[task].part)} is missing or broken: {error}."], none
    whole = whole_part(features, listed)
    if whole is None:
        return [*faults, f"{feature_key(task)} does not account for every picture of its task."], none
    vectors = vectors_of(whole.table, "features").reshape(-1, len(run.model.mean))
    return [*faults, *_projection_faults(run, task, whole.table), *_csv_part_faults(run, part)], vectors


def _projection_faults(run: _Run, task: int, features: pa.Table) -> Iterator[str]:
    try:
        projected = read_pca(run.storage, task)
    except StorageError:
        raise
    except (OSError, pa.ArrowException):
        yield f"{pca_key(task)} is no Parquet file."
        return
    if projected["path"].to_pylist() != features["path"].to_pylist():
        yield f"{pca_key(task)} has other rows than {feature_key(task)}."
        return
    if not features.num_rows:
        return
    wanted = run.model.project(vectors_of(features, "features"))
    got = vectors_of(projected, "pca")
    if got.shape != wanted.shape or np.abs(got - wanted).max() > PROJECTION_TOLERANCE:
        yield f"{pca_key(task)} is not the projection of {feature_key(task)}."


def _csv_part_faults(run: _Run, part: Part) -> Iterator[str]:
    if run.record.csv != CSV_PARTS:
        return
    try:
        rows = rows_of_part(run.storage, part.task)
    except StorageError:
        raise
    except OSError as error:
        yield f"{csv_key(part.task)} is missing or broken: {error}."
        return
    if rows != part.rows:
        yield f"{csv_key(part.task)} has {rows} rows, the part has {part.rows}."


def _quick_faults(run: _Run) -> Iterator[str]:
    for folder, expected in _expected(run):
        for batch in run.storage.list(f"{folder}/"):
            for key, size in zip(*batch.to_pydict().values(), strict=True):
                if expected.get(key) not in (None, 0, size):
                    yield f"{key} has {size} bytes, the run wrote {expected[key]}."
                expected.pop(key, None)
        missing = sorted(expected)
        if missing:
            yield f"{missing[0]} is missing, and with it {len(missing) - 1:,} more of {folder}/."
    step = -(-len(run.parts) // QUICK_TASKS)
    for part in run.parts[::step]:
        yield from _task_faults(run, part)[0]


def _expected(run: _Run) -> Iterator[tuple[str, dict[str, int]]]:
    """Each folder of parts with the keys that lie there and their bytes, 0 where these are not known."""
    yield FEATURES_FOLDER, {feature_key(part.task): part.features_bytes for part in run.parts}
    yield PCA_FOLDER, {pca_key(part.task): part.pca_bytes for part in run.parts}
    if run.record.csv == CSV_PARTS:
        yield CSV_FOLDER, {csv_key(part.task): 0 for part in run.parts}


def _rows(parts: Sequence[Part]) -> int:
    return sum(part.rows for part in parts)


def _count_faults(run: _Run) -> Iterator[str]:
    rows, listed, counts = _rows(run.parts), run.inputs.rows, run.record.counts
    if rows != counts["features"] or listed != counts["listed"]:
        yield (
            f"Counts differ: {counts['features']} of {counts['listed']} pictures have features by run.json, "
            f"{rows} of {listed} by the parts and the list."
        )


def _file_faults(run: _Run, is_quick: bool) -> Iterator[str]:
    rows = _rows(run.parts)
    try:
        reasons = counted_reasons(run.storage)
    except FileNotFoundError:
        yield f"{ERRORS_KEY} is missing."
        return
    except (pa.ArrowException, KeyError) as error:
        yield f"{ERRORS_KEY} is broken: {error}."
        return
    if rows + reasons.total() != run.record.counts["listed"]:
        yield (
            f"Counts differ: {run.record.counts['listed']} listed, {rows} in the parts, "
            f"{reasons.total()} in errors.parquet."
        )
    if reasons != run.record.error_reasons:
        yield "errors.parquet has other reasons than run.json."
    if run.record.csv == CSV_ONE:
        yield from _csv_faults(run, rows, is_quick)


def _csv_faults(run: _Run, rows: int, is_quick: bool) -> Iterator[str]:
    if not run.storage.exists(CSV_KEY):
        yield f"{CSV_KEY} has 0 rows, the parts have {rows}."
    elif not is_quick and (written := rows_of_csv(run.storage)) != rows:
        yield f"{CSV_KEY} has {written} rows, the parts have {rows}."
