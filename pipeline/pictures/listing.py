"""Which pictures a run takes and how they are shared out into tasks: made once, on the driver, in columns."""

import re
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.pictures.pack_reader import SHARDS
from pipeline.settings import RunSettings
from pipeline.storage.base import LISTING_SCHEMA, Pictures

PICTURE_SUFFIXES = ("jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "avif")
_PICTURE_KEY = rf"(?i)(^|/)[^./][^/]*\.({'|'.join(PICTURE_SUFFIXES)})$"

_IS_PICTURE = re.compile(_PICTURE_KEY)

# A task costs what its pictures cost the network, and a small file costs as much as a larger one.
PICTURE_FLOOR_BYTES = 16 * 1024
TASK_BYTES = 8 * 1024 * 1024
TASKS_PER_CORE = 4
SMALLEST_TASK = 32


def is_picture(key: str) -> bool:
    """Whether a key is a picture's by its name."""
    return _IS_PICTURE.search(key) is not None


def list_pictures(pictures: Pictures, settings: RunSettings) -> pa.Table:
    """The pictures of this run, sorted by path: columns `path`, `label` (string) and `bytes` (int64).

    The label is the name of the picture's folder. Raises InputError where nothing is left to do.
    """
    table = all_pictures(pictures)
    table = _of_classes(table, settings.classes)
    return _spread_sample(table, settings.limit, settings.sample_seed)


def all_pictures(pictures: Pictures) -> pa.Table:
    """Every picture there, as `list_pictures` gives them. Raises InputError where there is none."""
    table = pa.Table.from_batches(pictures.list(), LISTING_SCHEMA)
    found = table.filter(pc.match_substring_regex(table["path"], _PICTURE_KEY))
    if not found.num_rows:
        if pc.any(pc.starts_with(table["path"], SHARDS)).as_py():
            raise InputError(f"{pictures.uri} holds a pack that was not finished; start the same pack command again.")
        raise InputError(
            f"No picture below {pictures.uri}; a picture's name ends in one of {', '.join(PICTURE_SUFFIXES)}."
        )
    found = found.take(pc.sort_indices(found["path"]))
    return found.add_column(1, "label", _labels(found["path"], pictures.label))


def _labels(paths: pa.ChunkedArray, outside: str) -> pa.ChunkedArray:
    folder = pc.struct_field(pc.extract_regex(paths, r"(?:^|/)(?P<label>[^/]+)/[^/]+$"), "label")
    return pc.fill_null(folder, outside)


def _of_classes(table: pa.Table, globs: tuple[str, ...]) -> pa.Table:
    if not globs:
        return table
    labels = table["label"].unique().to_pylist()
    wanted = [label for label in labels if any(fnmatchcase(label, glob) for glob in globs)]
    if not wanted:
        some = ", ".join(sorted(labels)[:5])
        raise InputError(f"No class matches {' '.join(globs)}; the classes here are {some} ({len(labels)} in all).")
    return table.filter(pc.is_in(table["label"], pa.array(wanted, pa.string())))


def _spread_sample(table: pa.Table, limit: int | None, seed: int) -> pa.Table:
    """`limit` pictures, drawn evenly: the first of each class in a shuffled order, then the second, and so on."""
    if limit is None or limit >= table.num_rows:
        return table
    rng = np.random.default_rng(seed)
    classes = table["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    shuffled = rng.permutation(table.num_rows)
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    counts = np.bincount(classes)
    rank = np.empty(table.num_rows, np.int64)
    rank[by_class] = np.arange(table.num_rows) - np.repeat(np.cumsum(counts) - counts, counts)
    turn = rng.permutation(len(counts))[classes]
    return table.take(np.sort(np.lexsort((turn, rank))[:limit]))


def plan_tasks(pictures: pa.Table, cores: int) -> pa.Table:
    """The list with a column `task` (int32): neighbours share a task, and tasks have about equal bytes."""
    cost = np.maximum(pictures["bytes"].to_numpy(), PICTURE_FLOOR_BYTES).cumsum(dtype=np.float64)
    wanted = max(cost[-1] / TASK_BYTES, min(cores * TASKS_PER_CORE, pictures.num_rows / SMALLEST_TASK), 1)
    slots = ((cost - cost[0]) / cost[-1] * int(np.ceil(wanted))).astype(np.int64)
    task = np.unique(slots, return_inverse=True)[1].astype(np.int32)
    return pictures.append_column("task", pa.array(task))


def task_bounds(inputs: pa.Table) -> list[tuple[int, int]]:
    """For each task its first row in the list and its number of rows."""
    counts = np.bincount(inputs["task"].to_numpy())
    return list(zip((np.cumsum(counts) - counts).tolist(), counts.tolist(), strict=True))
