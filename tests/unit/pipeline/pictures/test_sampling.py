"""pipeline.pictures.sampling."""

from collections import Counter

import pyarrow as pa
import pytest

from pipeline.pictures.sampling import chosen_rows

COUNTS = {"a": 5, "b": 100, "c": 40}


def rows(batch: int = 1000) -> list[pa.RecordBatch]:
    """A list in which the classes stand mixed."""
    labels = [label for label, count in COUNTS.items() for _ in range(count)]
    mixed = [labels[number * 37 % len(labels)] for number in range(len(labels))]
    return pa.table({"number": range(len(mixed)), "label": mixed}).to_batches(batch)


def chosen(limit: int, seed: int = 0, batch: int = 1000) -> list[dict[str, object]]:
    return [row for found in chosen_rows(rows(batch), COUNTS, limit, seed) for row in found.to_pylist()]


@pytest.mark.parametrize(
    ("limit", "counts"),
    [(3, [1, 1, 1]), (15, [5, 5, 5]), (16, [5, 5, 6]), (85, [5, 40, 40]), (90, [5, 40, 45]), (144, [5, 40, 99])],
)
def test_classes_take_turns_until_they_have_no_more(limit: int, counts: list[int]) -> None:
    found = chosen(limit)
    assert sorted(Counter(row["label"] for row in found).values()) == counts
    numbers = [row["number"] for row in found]
    assert numbers == sorted(set(numbers)), "each once, in the list's order"


def test_what_is_chosen_depends_on_the_seed_and_not_on_the_batches() -> None:
    assert chosen(30, batch=1) == chosen(30, batch=7) == chosen(30)
    assert chosen(30, seed=1) != chosen(30)
    assert chosen(30, seed=-1) != chosen(30)


def test_which_classes_have_one_more_depends_on_the_seed() -> None:
    assert {tuple(row["label"] for row in chosen(1, seed)) for seed in range(20)} == {("a",), ("b",), ("c",)}


def test_every_place_of_a_class_may_be_chosen() -> None:
    found = {row["number"] for seed in range(60) for row in chosen(60, seed)}
    assert found == set(range(sum(COUNTS.values())))
