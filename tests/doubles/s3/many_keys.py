"""A bucket of as many keys as wanted, none of them kept: each is computed from its place in the order of keys."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

BUCKET = "many"
ROOT = "pictures/"
# Digits of a picture's number in its folder, and of a folder's in its bucket.
DIGITS, FOLDER_DIGITS = 9, 5
SUFFIX = ".jpg"
# The last code point: no key has it, so that all keys of a prefix are below the prefix with it.
LAST = "\U0010ffff"
# Every eighth folder has pictures of five digits of bytes, the others of four, as Fruits-360 has.
LARGE_EVERY = 8
_ETAG_HEAD = "d41d8cd98f00b204e9"


@dataclass(frozen=True)
class Folder:
    """Keys `prefix000000000.jpg` and on, `count` of them, which begin at `start` in the bucket's order."""

    prefix: str
    number: int
    start: int
    count: int

    @property
    def stop(self) -> int:
        """The place after its last key."""
        return self.start + self.count

    @property
    def size_digits(self) -> int:
        """How many digits the size of its pictures has."""
        return 5 if self.number % LARGE_EVERY == LARGE_EVERY - 1 else 4

    def key(self, number: int) -> str:
        """The key of its picture of this number."""
        return f"{self.prefix}{number:0{DIGITS}d}{SUFFIX}"

    def size(self, number: int) -> int:
        """Bytes of that picture; other for its neighbours, the same each time."""
        least: int = 10 ** (self.size_digits - 1)
        return least + (number * 7919 + self.number * 104_729) % (9 * least)

    def etag(self, number: int) -> str:
        """What stands for that picture's MD5."""
        return f"{_ETAG_HEAD}{self.number:0{FOLDER_DIGITS}d}{number:0{DIGITS}d}"


@dataclass(frozen=True)
class Page:
    """Common prefixes and runs of places in the bucket's order, and the place where the next page begins."""

    entries: tuple["str | range", ...]
    goes_on_at: int | None

    @property
    def count(self) -> int:
        """Keys and common prefixes."""
        return sum(1 if isinstance(entry, str) else len(entry) for entry in self.entries)


@dataclass(frozen=True)
class ManyKeys:
    """`keys` in `folders`, of which the last has the share `largest` of all, or as many as the others.

    `groups` folders lie above them; `loose` further keys lie beside these, as pictures that have no folder do.
    """

    keys: int
    folders: int = 8
    largest: float = 0.0
    groups: int = 0
    loose: int = 0
    _stops: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Set once, though frozen: a bisection looks it up for every request.
        object.__setattr__(self, "_stops", [folder.stop for folder in self.all_folders])

    @property
    def total(self) -> int:
        """All keys."""
        return self.keys + self.loose

    @cached_property
    def all_folders(self) -> tuple[Folder, ...]:
        """In the order of their keys: digits come before letters, so loose pictures are first."""
        counts = [self.loose, *self._counts()] if self.loose else self._counts()
        starts = accumulate(counts, initial=0)
        first = 0 if self.loose else 1
        return tuple(
            Folder(self._prefix(number), number, start, count)
            for number, (start, count) in enumerate(zip(starts, counts, strict=False), first)
        )

    def _counts(self) -> list[int]:
        last = int(self.keys * self.largest) if self.largest and self.folders > 1 else 0
        rest = self.folders - 1 if last else self.folders
        shared = self.keys - last
        evenly = [shared * (number + 1) // rest - shared * number // rest for number in range(rest)]
        return [*evenly, last] if last else evenly

    def _prefix(self, number: int) -> str:
        if not number:
            return ROOT
        # What XML and a URL would read otherwise is in it.
        group = f"group+{(number - 1) * self.groups // self.folders} & more/" if self.groups else ""
        return f"{ROOT}{group}class {number:0{FOLDER_DIGITS}d}/"

    def folder_at(self, place: int) -> Folder:
        """The folder of the key at this place."""
        return self.all_folders[bisect_right(self._stops, place)]

    def key_at(self, place: int) -> str:
        """The key at this place in the order of keys."""
        folder = self.folder_at(place)
        return folder.key(place - folder.start)

    def place_of(self, text: str) -> int:
        """How many keys come before this text."""
        return bisect_left(range(self.total), text, key=self.key_at)

    def place_after(self, text: str) -> int:
        """How many keys come before this text or are it."""
        return bisect_right(range(self.total), text, key=self.key_at)

    def find(self, key: str) -> tuple[Folder, int] | None:
        """The folder and the number of a key that is there."""
        place = self.place_of(key)
        if place == self.total or self.key_at(place) != key:
            return None
        folder = self.folder_at(place)
        return folder, place - folder.start

    def page(self, prefix: str, delimiter: str, at: int, most: int, start_after: str = "") -> Page:
        """What S3 lists from this place on, in its order.

        A common prefix that does not come after `start_after` is left out, with all that it stands for, as S3 does.
        """
        end, entries = self.place_of(prefix + LAST), []
        at = max(at, self.place_of(prefix), self.place_after(start_after) if start_after else 0)
        while at < end and most > 0:
            entry, at = self._next(prefix, delimiter, at, min(end, at + most))
            if isinstance(entry, str) and entry <= start_after:
                continue
            entries.append(entry)
            most -= 1 if isinstance(entry, str) else len(entry)
        return Page(tuple(entries), at if entries and at < end else None)

    def _next(self, prefix: str, delimiter: str, at: int, end: int) -> tuple[str | range, int]:
        """The common prefix or the run of keys at this place, and the place after it."""
        folder = self.folder_at(at)
        key = folder.key(at - folder.start)
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            common = key[: cut + len(delimiter)]
            # A folder's own prefix needs no search; below that of the loose ones are all the others.
            is_folder = common == folder.prefix != ROOT
            return common, folder.stop if is_folder else self.place_of(common + LAST)
        # Numbers have no slash in them: where the first key of a folder has none left, the others have none either.
        stop = min(folder.stop, end) if delimiter in ("", "/") else at + 1
        return range(at, stop), stop

    def pieces(self, run: range) -> Iterator[tuple[Folder, range]]:
        """A run of places as folders with runs of their own numbers."""
        at = run.start
        while at < run.stop:
            folder = self.folder_at(at)
            stop = min(run.stop, folder.stop)
            yield folder, range(at - folder.start, stop - folder.start)
            at = stop
