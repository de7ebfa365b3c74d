"""pipeline.storage.s3_ranges, on a bucket in memory: every key comes once and in order, however the ranges are cut."""

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock

import pyarrow as pa
import pytest

from pipeline.storage import s3_ranges
from pipeline.storage.s3_pages import Page
from pipeline.storage.s3_ranges import DisorderError, RangeLister

PAGE = 10


@dataclass
class Bucket:
    """Keys, served in pages of PAGE, sorted unless told otherwise; `asked` counts the requests for pages.

    Where a cut is awaited, no more than five pages are served before there is a second range.
    """

    keys: list[str]
    awaited: Event | None = None
    asked: int = 0
    lock: Lock = field(default_factory=Lock)

    def pages(self, _bucket: str, prefix: str, after: str = "") -> Iterator[Page]:
        keys = [key for key in self.keys if key.startswith(prefix) and key > after]
        for start in range(0, max(len(keys), 1), PAGE):
            with self.lock:
                self.asked += 1
            if self.awaited and start == 5 * PAGE:
                assert self.awaited.wait(60)
            some = keys[start : start + PAGE]
            yield Page(some, [len(key) for key in some], start + PAGE < len(keys))

    def folders(self, _bucket: str, prefix: str, after: str) -> list[str]:
        keys = (key for key in self.keys if key.startswith(prefix) and key > after)
        found = {prefix + rest.partition("/")[0] + "/" for key in keys if "/" in (rest := key[len(prefix) :])}
        return sorted(found)[:PAGE]

    def first_key(self, _bucket: str, prefix: str, after: str) -> str | None:
        ordered = sorted(key for key in self.keys if key.startswith(prefix))
        place = bisect_right(ordered, after)
        return ordered[place] if place < len(ordered) else None


@dataclass
class Rows:
    """A sink."""

    rows: list[dict[str, object]] = field(default_factory=list)
    has_ended: bool = False

    def add(self, batch: pa.RecordBatch) -> None:
        assert not self.has_ended
        self.rows += batch.to_pylist()

    def end(self) -> None:
        self.has_ended = True


def listed(keys: list[str], patch: pytest.MonkeyPatch, threads: int = 8, *, is_cut: bool = False) -> list[Rows]:
    second, made = Event(), count()

    def sink() -> Rows:
        if next(made):
            second.set()
        return Rows()

    bucket = Bucket(keys, second if is_cut else None)
    for name in ("pages", "folders", "first_key"):
        patch.setattr(s3_ranges, name, getattr(bucket, name))
    return RangeLister("b", "p/", sink, threads).run()


NUMBERED = [f"{number:05d}.jpg" for number in range(600)]
SHAPES = {
    "nothing": [],
    "one page": [f"p/{name}" for name in NUMBERED[:7]],
    "flat": [f"p/{name}" for name in NUMBERED],
    "folders": [f"p/{folder:02d} x/{name}" for folder in range(20) for name in NUMBERED[:60]],
    "one that holds most": [
        *(f"p/{folder}/{name}" for folder in "abc" for name in NUMBERED[:3]),
        *(f"p/m/{folder:02d}/{name}" for folder in range(9) for name in NUMBERED[:90]),
    ],
    "deep": [f"p/a/b/c/d/{folder}/{name}" for folder in "xyz" for name in NUMBERED[:200]],
    "mixed": [f"p/{stem}{end}" for stem in NUMBERED[:200] for end in ("", "/a.jpg", "/b/c.jpg", ".jpg")],
    "odd": [
        f"p/{sign}{name}" for sign in ("//", "\t", "é", "\ud7ff", "\ue000", "\U0010ffff") for name in NUMBERED[:90]
    ],
}


@pytest.mark.parametrize("threads", [1, 3, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_is_listed_once_and_in_order(shape: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(SHAPES[shape])
    sinks = listed([*keys, "q/not one of them.jpg"], monkeypatch, threads=threads)
    assert [row for sink in sinks for row in sink.rows] == [{"path": key[2:], "bytes": len(key)} for key in keys]
    assert all(sink.has_ended for sink in sinks)


@pytest.mark.parametrize("shape", ["flat", "folders", "one that holds most", "deep"])
def test_a_long_list_is_cut(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(SHAPES[shape])
    sinks = listed(keys, monkeypatch, is_cut=True)
    assert len(sinks) > 1
    assert [f"p/{row['path']}" for sink in sinks for row in sink.rows] == keys


def test_a_short_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(listed(SHAPES["one page"], monkeypatch)) == 1


def test_a_server_whose_keys_are_in_no_order_is_not_cut_or_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"p/{name}" for name in NUMBERED]
    random.Random(1).shuffle(keys)
    (sink,) = listed(keys, monkeypatch)
    assert sorted(row["path"] for row in sink.rows) == NUMBERED
    ordered = [f"p/{folder:02d}/{name}" for folder in range(20) for name in NUMBERED[:60]]
    late = [*ordered[:-30], *reversed(ordered[-30:])]
    with pytest.raises(DisorderError):
        listed(late, monkeypatch, is_cut=True)


def test_a_request_that_fails_ends_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(SHAPES["folders"])

    def failing(self: Bucket, bucket: str, prefix: str, after: str = "") -> Iterator[Page]:
        for page in whole(self, bucket, prefix, after):
            if self.asked > 9:
                raise ConnectionError("down")
            yield page

    whole = Bucket.pages
    monkeypatch.setattr(Bucket, "pages", failing)
    with pytest.raises(ConnectionError, match="down"):
        listed(keys, monkeypatch)
