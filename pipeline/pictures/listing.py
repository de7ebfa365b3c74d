"""Which pictures a run takes: listed once, on the driver, in the order of their paths, never all in its memory."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, reduce
from itertools import pairwise
from operator import add

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.pictures.pack_reader import SHARDS
from pipeline.pictures.sampling import chosen_rows
from pipeline.pictures.spool import SPOOL_SCHEMA, Spool, SpoolFile
from pipeline.settings import EXACT, RunSettings
from pipeline.storage.base import Pictures

PICTURE_SUFFIXES = ("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "webp", "tif", "tiff", "avif", "heic", "heif")
_PICTURE_KEY = rf"(?i)(^|/)[^./][^/]*\.({'|'.join(PICTURE_SUFFIXES)})$"

_IS_PICTURE = re.compile(_PICTURE_KEY)

# Of what is passed over: what a name ends in, in small letters, where that is short enough to be a kind of file.
_KIND = r"[^/]\.(?P<kind>[A-Za-z0-9]{1,5})$"
_NO_KIND = ""
MOST_KINDS = 1_000
_KINDS_NAMED = 4


def is_picture(key: str) -> bool:
    """Whether a key is a picture's by its name."""
    return _IS_PICTURE.search(key) is not None


@dataclass(frozen=True)
class PictureList:
    """Pictures in the order of their paths, decoded this `way`. `cost` is that of all of them (`costs`).

    `passed_over` is how many other files lie among them, by what their names end in.
    """

    spools: tuple[Spool, ...]
    passed_over: Counter[str] = field(default_factory=Counter)
    way: str = EXACT

    @property
    def rows(self) -> int:
        """How many."""
        return sum(spool.rows for spool in self.spools)

    @property
    def bytes(self) -> int:
        """Those of all of them."""
        return sum(spool.bytes for spool in self.spools)

    @property
    def cost(self) -> int:
        """What all of them cost."""
        return sum(spool.cost for spool in self.spools)

    @property
    def first_cost(self) -> int:
        """What the first one costs."""
        return next((spool.first[1] for spool in self.spools if spool.first), 0)

    @cached_property
    def counts(self) -> Counter[str]:
        """How many of each label, in the labels' order."""
        counts = Counter[str]()
        for spool in self.spools:
            counts.update(spool.counts)
        return Counter(dict(sorted(counts.items())))

    @property
    def is_sorted(self) -> bool:
        """Whether the place they were listed at gave them in order."""
        ends = [(spool.first[0], spool.last_path) for spool in self.spools if spool.first]
        in_turn = all(before <= first for (_, before), (first, _) in pairwise(ends))
        return in_turn and all(spool.is_sorted for spool in self.spools)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of them, as batches of `path`, `label` and `bytes`."""
        for spool in self.spools:
            yield from spool.batches()

    def table(self) -> pa.Table:
        """All of them in memory."""
        return pa.Table.from_batches(self.batches(), SPOOL_SCHEMA)


@contextmanager
def listed(pictures: Pictures, settings: RunSettings | None = None) -> Iterator[PictureList]:
    """The pictures there that the settings choose (None: all), until the block ends.

    The label is the name of the picture's folder. Raises InputError where nothing is left to do, DiskFullError where
    this machine has no room for the list.
    """
    way = EXACT if settings is None else settings.decode
    with closing(SpoolFile()) as file:
        found = _all_of(pictures, file, way)
        if settings is not None:
            found = _of_classes(found, settings.classes, file)
            found = _sample_of(found, settings.limit, settings.sample_seed, file)
        yield found


def list_pictures(pictures: Pictures, settings: RunSettings) -> pa.Table:
    """`listed` as one table in memory, for a list that is no longer than that."""
    with listed(pictures, settings) as found:
        return found.table()


def all_pictures(pictures: Pictures) -> pa.Table:
    """Every picture there, as `list_pictures` gives them. Raises InputError where there is none."""
    with listed(pictures) as found:
        return found.table()


def passed_over_sentence(kinds: Counter[str]) -> str:
    """How many files were no pictures by their names, and which kinds most of them were."""
    most = sorted(kinds.items(), key=lambda one: (-one[1], one[0] == _NO_KIND, one[0]))[:_KINDS_NAMED]
    named = [f"{count:,} {'.' + kind if kind else 'others'}" for kind, count in most]
    more = ", ..." if len(kinds) > _KINDS_NAMED else ""
    return f"Passed over {kinds.total():,} files that are no pictures by their names ({', '.join(named)}{more})."


class _Pictures:
    """Takes what is listed, and keeps the pictures among it."""

    def __init__(self, file: SpoolFile, outside: str, way: str) -> None:
        self.spool = Spool(file, way)
        self.has_shard = False
        self.passed_over = Counter[str]()
        self._outside = outside

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some objects."""
        is_one = pc.match_substring_regex(batch["path"], _PICTURE_KEY)
        found = batch.filter(is_one)
        if found.num_rows < batch.num_rows:
            self._pass_over(batch["path"].filter(pc.invert(is_one)))
        labels = _labels(found["path"], self._outside)
        self.spool.add(pa.RecordBatch.from_arrays([found["path"], labels, found["bytes"]], schema=SPOOL_SCHEMA))

    def end(self) -> None:
        """Nothing more comes."""
        self.spool.end()

    def _pass_over(self, paths: pa.Array) -> None:
        self.has_shard = self.has_shard or bool(pc.any(pc.starts_with(paths, SHARDS)).as_py())
        # What ends in a stroke stands for a folder.
        files = paths.filter(pc.invert(pc.ends_with(paths, "/")))
        kinds = pc.struct_field(pc.extract_regex(files, _KIND), "kind")
        for counted in pc.value_counts(pc.fill_null(pc.utf8_lower(kinds), _NO_KIND)).to_pylist():
            kind = counted["values"] if len(self.passed_over) < MOST_KINDS else _NO_KIND
            self.passed_over[kind] += counted["counts"]


def _labels(paths: pa.Array, outside: str) -> pa.Array:
    folder = pc.struct_field(pc.extract_regex(paths, r"(?:^|/)(?P<label>[^/]+)/[^/]+$"), "label")
    return pc.fill_null(folder, outside)


def _all_of(pictures: Pictures, file: SpoolFile, way: str) -> PictureList:
    sinks: Sequence[_Pictures] = pictures.list_into(lambda: _Pictures(file, pictures.label, way))
    passed_over = reduce(add, (sink.passed_over for sink in sinks), Counter[str]())
    found = PictureList(tuple(sink.spool for sink in sinks), passed_over, way)
    if not found.rows:
        if any(sink.has_shard for sink in sinks):
            raise InputError(f"{pictures.uri} holds a pack that was not finished; start the same pack command again.")
        raise InputError(
            f"No picture below {pictures.uri}; a picture's name ends in one of {', '.join(PICTURE_SUFFIXES)}."
        )
    if found.is_sorted:
        return found
    # S3 and folders have an order. What has none is sorted in memory.
    table = found.table()
    return _spooled(table.take(pc.sort_indices(table["path"])).to_batches(), file, found)


def _spooled(batches: Iterable[pa.RecordBatch], file: SpoolFile, of: PictureList) -> PictureList:
    """Some of these pictures, or in another order."""
    spool = Spool(file, of.way)
    for batch in batches:
        spool.add(batch)
    spool.end()
    return replace(of, spools=(spool,))


def _of_classes(found: PictureList, globs: tuple[str, ...], file: SpoolFile) -> PictureList:
    if not globs:
        return found
    labels = list(found.counts)
    wanted = [label for label in labels if any(fnmatchcase(label, glob) for glob in globs)]
    if not wanted:
        some = ", ".join(labels[:5])
        raise InputError(f"No class matches {' '.join(globs)}; the classes here are {some} ({len(labels)} in all).")
    set_of_them = pa.array(wanted, pa.string())
    return _spooled((batch.filter(pc.is_in(batch["label"], set_of_them)) for batch in found.batches()), file, found)


def _sample_of(found: PictureList, limit: int | None, seed: int, file: SpoolFile) -> PictureList:
    if limit is None or limit >= found.rows:
        return found
    return _spooled(chosen_rows(found.batches(), found.counts, limit, seed), file, found)
