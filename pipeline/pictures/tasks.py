"""How a list of pictures is shared out into tasks: by it and the number of cores alone, a batch of it at a time."""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa

from pipeline.pictures.listing import PICTURE_FLOOR_BYTES, PictureList

TASK_BYTES = 8 * 1024 * 1024
TASKS_PER_CORE = 4
SMALLEST_TASK = 32
# The driver, the JVM and a store's list bear so many; a longer list has larger tasks.
MOST_TASKS = 20_000
# Each core's last task is done in so many, that none has a whole one left when the others are at their end.
LAST_IN = 4


def planned(pictures: PictureList, cores: int) -> Iterator[pa.Table]:
    """The tasks, each as its rows of the list: neighbours share a task, and tasks have about equal bytes.

    The last ones are smaller, unless they would have less than SMALLEST_TASK pictures.
    """
    wanted = max(pictures.cost / TASK_BYTES, min(cores * TASKS_PER_CORE, pictures.rows / SMALLEST_TASK), 1)
    slots = min(ceil(wanted), MOST_TASKS)
    pieces = min(LAST_IN, max(1, pictures.rows // slots // SMALLEST_TASK))
    last = min(cores, slots // TASKS_PER_CORE)
    slots = min(slots, MOST_TASKS - last * (pieces - 1))
    return _by_slot(pictures, slots, slots - last, pieces)


def _by_slot(pictures: PictureList, slots: int, whole: int, pieces: int) -> Iterator[pa.Table]:
    """Pictures whose costs, added up, are within the same share of all are one task; a share may have none.

    Of equal shares the first `whole` are tasks, each later one is that many pieces.
    """
    first, all_cost = float(pictures.first_cost), float(pictures.cost)
    open_slot, waiting, before = -1, list[pa.RecordBatch](), 0.0
    for batch in pictures.batches():
        cost = before + np.maximum(batch["bytes"].to_numpy(), PICTURE_FLOOR_BYTES).cumsum(dtype=np.float64)
        before = float(cost[-1])
        place = (cost - first) / all_cost * slots
        slot = np.where(place < whole, place, whole + (place - whole) * pieces).astype(np.int64)
        bounds = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), len(slot)]
        for start, stop in pairwise(bounds):
            if waiting and slot[start] != open_slot:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
            open_slot = int(slot[start])
            waiting.append(batch.slice(start, stop - start))
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()
