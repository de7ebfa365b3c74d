"""Lists an S3 prefix in ranges of keys at once. A thread that has nothing to do takes half of what another has left.

Where to cut is asked of the server: between two folders, where there are some ahead; else behind all keys that begin as
the one that was listed last. A range is of the keys after one string up to another, which need be no key's.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Condition
from typing import Generic

from pipeline.storage.base import SinkKind
from pipeline.storage.s3_pages import Page, first_key, folders, pages

LISTERS = 16
# A range that has taken so many requests is long enough to be cut; one that could not be is asked about anew when it
# has taken twice as many.
PAGES_FIRST = 4


class DisorderError(Exception):
    """The server's keys come in another order than that of their UTF-8, as none of S3's do."""


@dataclass(eq=False)
class _Range(Generic[SinkKind]):
    """Keys after `after` up to `upto` (None: to the last), listed up to `reached`."""

    after: str
    upto: str | None
    sink: SinkKind
    reached: str
    pages: int = 0
    cut_from: int = PAGES_FIRST
    is_ended: bool = False
    is_being_cut: bool = False

    def may_be_cut(self) -> bool:
        """Whether it is worth the question."""
        return not self.is_ended and not self.is_being_cut and self.pages >= self.cut_from

    def has_ahead(self, key: str) -> bool:
        """Whether a key that was not listed yet is in the range, and not at its end."""
        return key > self.reached and (self.upto is None or key < self.upto)


@dataclass
class RangeLister(Generic[SinkKind]):
    """All keys of a bucket that begin with `prefix`, listed once. `sink` makes what takes a range's batches."""

    bucket: str
    prefix: str
    sink: Callable[[], SinkKind]
    threads: int = LISTERS
    _ranges: list[_Range[SinkKind]] = field(default_factory=list)
    _waiting: list[_Range[SinkKind]] = field(default_factory=list)
    _changed: Condition = field(default_factory=Condition)
    _is_stopped: bool = False
    _has_disorder: bool = False

    def run(self) -> list[SinkKind]:
        """The sinks, in the keys' order. Raises what boto3 raises, and DisorderError where cuts lose keys."""
        self._add(self.prefix, None)
        pool = ThreadPoolExecutor(self.threads, "lists")
        try:
            for working in [pool.submit(self._work) for _ in range(self.threads)]:
                working.result()
        finally:
            # An interrupt does not wait: a request that stalls would hold it up.
            self._stop()
            pool.shutdown(wait=False)
        return [one.sink for one in sorted(self._ranges, key=lambda one: one.after)]

    def _add(self, after: str, upto: str | None) -> _Range[SinkKind]:
        one = _Range(after, upto, self.sink(), after)
        self._ranges.append(one)
        self._waiting.append(one)
        return one

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while one := self._next():
                self._list(one)
        except BaseException:
            self._stop()
            raise

    def _next(self) -> _Range[SinkKind] | None:
        """A range to be listed, of which there may be none until another is cut; None where all is listed."""
        while True:
            with self._changed:
                if self._waiting:
                    return self._waiting.pop()
                if self._is_stopped or all(one.is_ended for one in self._ranges):
                    self._changed.notify_all()
                    return None
                long = [one for one in self._ranges if one.may_be_cut()]
                if not long or self._has_disorder:
                    self._changed.wait()
                    continue
                one = min(long, key=lambda each: each.pages)
                one.is_being_cut = True
            self._cut(one)

    def _list(self, one: _Range[SinkKind]) -> None:
        for page in pages(self.bucket, self.prefix, one.after):
            with self._changed:
                kept = self._kept(one, page)
                one.pages += 1
                # What is left of a range whose list has come to its end is nothing.
                is_last = not page.has_more or len(kept) < len(page.keys)
                one.is_ended = is_last
                one.reached = page.keys[-1] if page.keys else one.reached
                self._changed.notify(self.threads if is_last else 1)
            one.sink.add(Page(kept, page.sizes[: len(kept)], page.has_more).below(self.prefix))
            if is_last or self._is_stopped:
                break
        one.sink.end()

    def _kept(self, one: _Range[SinkKind], page: Page) -> list[str]:
        """The page's keys that are the range's own. Raises DisorderError where one was cut and there is no order."""
        if page.keys and (page.keys[0] < one.reached or not _is_sorted(page.keys)):
            if len(self._ranges) > 1:
                raise DisorderError
            self._has_disorder = True
        if one.upto is None or not page.keys or page.keys[-1] <= one.upto:
            return page.keys
        return [key for key in page.keys if key <= one.upto]

    def _cut(self, one: _Range[SinkKind]) -> None:
        """Give the keys after some place in the range to a new one, where there is a place."""
        places = list(self._places(one))
        with self._changed:
            one.is_being_cut = False
            # In a list without order nothing is ahead.
            places = [] if self._has_disorder else places
            ahead = [place for place in places if one.has_ahead(place)]
            if ahead and not one.is_ended:
                place = ahead[len(ahead) // 2]
                self._add(place, one.upto)
                one.upto, one.cut_from = place, one.pages + PAGES_FIRST
            else:
                one.cut_from = 2 * max(one.pages, PAGES_FIRST)
            self._changed.notify_all()

    def _places(self, one: _Range[SinkKind]) -> Iterable[str]:
        reached, base = one.reached, len(self.prefix)
        ends = [base, *(at + 1 for at in range(base, len(reached)) if reached[at] == "/")]
        for end in ends:
            if ahead := [name for name in folders(self.bucket, reached[:end], reached) if one.has_ahead(name)]:
                return ahead
        # No folder is ahead: what there is are files beside the last one.
        for end in range(ends[-1], len(reached)):
            place = reached[:end] + _after(reached[end])
            key = first_key(self.bucket, self.prefix, place) if one.has_ahead(place) else None
            if key is not None and one.has_ahead(key):
                return [place]
        return []


def _is_sorted(keys: list[str]) -> bool:
    return all(map(str.__lt__, keys, keys[1:]))


def _after(character: str) -> str:
    """The next character in the order of UTF-8, which has no halves of characters."""
    return chr({0xD7FF: 0xE000, 0x10FFFF: 0x10FFFF}.get(ord(character), ord(character) + 1))
