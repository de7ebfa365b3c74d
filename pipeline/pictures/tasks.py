"""How a list of pictures is shared out into tasks: by it and the number of cores alone, a batch of it at a time."""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa

from pipeline.pictures.costs import ONE, costs
from pipeline.pictures.listing import PictureList

# As `costs` counts: some six seconds of one core, and half a second.
TASK_COST = 512 * ONE
SMALLEST_TASK = 32 * ONE
TASKS_PER_CORE = 4
# The driver, the JVM and a store's list bear so many; a longer list has larger tasks.
MOST_TASKS = 20_000
# Each core's first task is done in so many, that progress shows soon, and its last one, that none has a whole one left
# when the others are at their end.
IN_PIECES = 4


def planned(pictures: PictureList, cores: int) -> Iterator[pa.Table]:
    """The tasks, each as its rows of the list: neighbours share a task, and tasks cost about the same.

    The first and the last ones are smaller, unless they would cost less than SMALLEST_TASK.
    """
    wanted = max(pictures.cost / TASK_COST, min(cores * TASKS_PER_CORE, pictures.cost / SMALLEST_TASK), 1)
    slots = min(ceil(wanted), MOST_TASKS)
    pieces = min(IN_PIECES, max(1, pictures.cost // slots // SMALLEST_TASK))
    # Of MOST_TASKS, pieces leave enough for the shares between them.
    cut = min(cores, slots // TASKS_PER_CORE, MOST_TASKS // (2 * IN_PIECES + 2))
    slots = min(slots, MOST_TASKS - 2 * cut * (pieces - 1))
    return _by_slot(pictures, slots, cut, pieces)


def _by_slot(pictures: PictureList, slots: int, cut: int, pieces: int) -> Iterator[pa.Table]:
    """Pictures whose costs, added up, are within the same share of all are one task; a share may have none.

    Of equal shares the first and the last `cut` are that many pieces each.
    """
    ends = ((0, cut), (slots - cut, slots))
    first, all_cost = pictures.first_cost, pictures.cost
    open_slot, waiting, before = -1, list[pa.RecordBatch](), 0
    for batch in pictures.batches():
        cost = before + costs(batch["path"], batch["bytes"], pictures.way).cumsum()
        before = int(cost[-1])
        place = (cost - first) / all_cost * slots
        # A place in a share that is cut has its later pieces before it, too.
        slot = sum(np.clip(place, *end) - end[0] for end in ends) * (pieces - 1)
        slot = (place + slot).astype(np.int64)
        bounds = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), len(slot)]
        for start, stop in pairwise(bounds):
            if waiting and slot[start] != open_slot:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
            open_slot = int(slot[start])
            waiting.append(batch.slice(start, stop - start))
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()
