"""Some pictures of a long list, spread evenly over its classes: decided by counts and a seed before they are read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def chosen_rows(
    batches: Iterable[pa.RecordBatch], counts: Mapping[str, int], limit: int, seed: int
) -> Iterator[pa.RecordBatch]:
    """Of batches with a column `label`, so many of each as `counts` says, the `limit` rows that the seed decides.

    Which they are depends on nothing else than each picture's place among those of its class. In memory are the places
    of `limit` rows and, for a moment, one for each picture of a class.
    """
    quotas = _quotas(counts, limit, seed)
    places = {label: _places(quota, counts[label], label, seed) for label, quota in quotas.items()}
    taken, seen = dict.fromkeys(places, 0), dict.fromkeys(places, 0)
    for batch in batches:
        labels = batch["label"].dictionary_encode()
        codes, keep = labels.indices.to_numpy(), np.zeros(batch.num_rows, np.bool_)
        for code, label in enumerate(labels.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            until = seen[label] + len(rows)
            stop = int(np.searchsorted(places[label], until))
            keep[rows[places[label][taken[label] : stop] - seen[label]]] = True
            taken[label], seen[label] = stop, until
        yield batch.filter(pa.array(keep))


def _quotas(counts: Mapping[str, int], limit: int, seed: int) -> dict[str, int]:
    """How many of each class: one of each in a shuffled order of classes, then a second of each, and so on."""
    labels, there = sorted(counts), np.array([counts[label] for label in sorted(counts)], np.int64)
    low, high = 0, int(there.max())
    while low < high:  # the most that all classes have, as far as they have them
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(there, middle).sum() <= limit else (low, middle - 1)
    quotas = np.minimum(there, low)
    longer = _generator(seed).permutation(np.flatnonzero(there > low))
    quotas[longer[: limit - int(quotas.sum())]] += 1
    return dict(zip(labels, quotas.tolist(), strict=True))


def _places(quota: int, count: int, label: str, seed: int) -> NDArray[np.int64]:
    chosen = _generator(seed, label).choice(count, quota, replace=False, shuffle=False)
    return np.sort(chosen.astype(np.int64))


def _generator(seed: int, label: str | None = None) -> np.random.Generator:
    words = hashlib.sha256(f"{seed} {'' if label is None else f'of {label}'}".encode("utf-8", "replace")).digest()
    return np.random.default_rng(np.frombuffer(words, np.uint32))
