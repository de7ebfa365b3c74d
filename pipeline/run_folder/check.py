"""Whether a finished run is whole: its parts, counts, sums and model, read back from the run folder."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.errors import InputError, StorageError
from pipeline.pca import spark_ml
from pipeline.pca.fit import PcaModel
from pipeline.pictures.listing import task_bounds
from pipeline.run_folder.layout import CSV_KEY, ERRORS_KEY, INPUTS_KEY, RECORD_KEY, feature_key, pca_key
from pipeline.run_folder.outputs import csv_rows, read_errors, read_inputs, read_pca
from pipeline.run_folder.parts import sha256, vectors_of, whole_part
from pipeline.run_folder.record import COMPLETE, RunRecord, read_record
from pipeline.storage.base import Storage

# Projections are stored as float32; the fit itself is exact to far more.
PROJECTION_TOLERANCE = 1e-3
ORTHONORMAL_TOLERANCE = 1e-9


def check_run(run: Storage) -> list[str]:
    """What is wrong with the run, in sentences; empty where nothing is.

    Raises InputError where no run ended there, StorageError where the storage fails.
    """
    try:
        record = read_record(run)
    except FileNotFoundError:
        raise InputError(f"{run.uri} holds no ended run; give the folder that {RECORD_KEY} lies in.") from None
    except (ValueError, TypeError, KeyError) as error:
        return [f"{RECORD_KEY} is broken: {error}."]
    try:
        inputs, _ = read_inputs(run)
    except FileNotFoundError:
        return [f"{INPUTS_KEY} is missing; a copy by `make results` leaves it in the bucket: check the run there."]
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        return [f"{INPUTS_KEY} is broken: {error}."]
    if record.status != COMPLETE:
        return [f"The run ended as '{record.status}', not complete."]
    try:
        model = spark_ml.load(run)
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        return [f"pca_model is missing or broken: {error}."]
    return [*_model_faults(model, record), *_part_faults(run, record, inputs, model), *_file_faults(run, record)]


def _model_faults(model: PcaModel, record: RunRecord) -> Iterator[str]:
    width = model.components.shape[1]
    if width != record.components:
        yield f"pca_model has {width} components, run.json says {record.components}."
    off = np.abs(model.components.T @ model.components - np.eye(width)).max()
    if off > ORTHONORMAL_TOLERANCE:
        yield f"The components are not orthonormal (off by {off:.1e})."
    if not np.allclose(model.explained_variance_ratio, record.explained_variance_ratio):
        yield "The explained variance in pca_model is not that of run.json."


def _part_faults(run: Storage, record: RunRecord, inputs: pa.Table, model: PcaModel) -> Iterator[str]:
    bounds = task_bounds(inputs)
    if len(bounds) != len(record.parts):
        yield f"run.json names {len(record.parts)} parts, the list has {len(bounds)} tasks."
        return
    sums, rows = np.zeros(len(model.mean)), 0
    for entry, bound in zip(record.parts, bounds, strict=True):
        task = entry["task"]
        try:
            features, projected = run.read(feature_key(task)), run.read(pca_key(task))
        except StorageError:
            raise
        except OSError as error:
            yield f"A part of task {task} cannot be read: {error}."
            continue
        if sha256(features) != entry["features"]:
            yield f"{feature_key(task)} has changed since the run."
        if sha256(projected) != entry["pca"]:
            yield f"{pca_key(task)} has changed since the run."
        part = whole_part(features, inputs["path"].slice(*bound).to_pylist())
        if part is None:
            yield f"{feature_key(task)} does not account for every picture of its task."
            continue
        vectors = vectors_of(part.table, "features").reshape(-1, len(model.mean))
        sums += vectors.sum(axis=0, dtype=np.float64)
        rows += len(vectors)
        yield from _projection_faults(run, task, part.table, model)
    if rows and not np.allclose(sums / rows, model.mean, atol=1e-9):
        yield "The mean beside pca_model is not the mean of the features."


def _projection_faults(run: Storage, task: int, features: pa.Table, model: PcaModel) -> Iterator[str]:
    try:
        projected = read_pca(run, task)
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
    wanted = model.project(vectors_of(features, "features"))
    got = vectors_of(projected, "pca")
    if got.shape != wanted.shape or np.abs(got - wanted).max() > PROJECTION_TOLERANCE:
        yield f"{pca_key(task)} is not the projection of {feature_key(task)}."


def _file_faults(run: Storage, record: RunRecord) -> Iterator[str]:
    rows = sum(part["rows"] for part in record.parts)
    try:
        errors = read_errors(run)
    except FileNotFoundError:
        yield f"{ERRORS_KEY} is missing."
        return
    except (pa.ArrowException, KeyError) as error:
        yield f"{ERRORS_KEY} is broken: {error}."
        return
    if rows != record.counts["features"] or rows + errors.num_rows != record.counts["listed"]:
        yield (
            f"Counts differ: {record.counts['listed']} listed, {rows} in the parts, "
            f"{errors.num_rows} in errors.parquet."
        )
    if dict(Counter(errors["reason"].to_pylist())) != record.error_reasons:
        yield "errors.parquet has other reasons than run.json."
    written = csv_rows(run.read(CSV_KEY)) if run.exists(CSV_KEY) else 0
    if written != rows:
        yield f"{CSV_KEY} has {written} rows, the parts have {rows}."
