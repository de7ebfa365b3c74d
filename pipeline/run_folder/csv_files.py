"""The components as CSV: one file, or where that would be too long, a compressed part beside each task's projection."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.parallel import run_ahead
from pipeline.run_folder.layout import CSV_FOLDER, CSV_KEY, csv_key
from pipeline.run_folder.parts import read_pca, vectors_of
from pipeline.settings import CSV_ONE, CSV_PARTS
from pipeline.storage.base import Storage

# Rows that one file has at most, unless more are asked of it: what a spreadsheet opens.
MOST_ROWS = 1_000_000
# Parts fetched ahead while the CSV is written in order.
_PARTS_AHEAD = 4
_PIECE_BYTES = 4 * 1024 * 1024


def csv_kind(asked: str, rows: int) -> str:
    """What becomes of a run with so many rows: as it is asked, or else one file as long as that can be opened."""
    return asked or (CSV_ONE if rows <= MOST_ROWS else CSV_PARTS)


def as_text(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells with an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV Injection).

    One that begins with an apostrophe gets another: who takes the first one off has every name as it was.
    """
    is_formula = pc.match_substring_regex(cells, "^['=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", cells, ""), cells)


def csv_header(components: int) -> bytes:
    """The first line: `path,label,pc1..pck`."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(_names(components))
    return header.getvalue().encode()


def csv_lines(table: pa.Table, components: int) -> bytes:
    """The rows of a projection part, one line a picture; see `as_text`."""
    if not table.num_rows:
        return b""
    sink = io.BytesIO()
    names_of_rows = as_text(table["path"]), as_text(table["label"])
    columns = [*names_of_rows, *map(pa.array, vectors_of(table, "pca").T.copy())]
    options = pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(pa.table(columns, names=_names(components)), sink, options)
    return sink.getvalue()


def csv_part(table: pa.Table, components: int) -> bytes:
    """A projection part as a compressed CSV with its own first line: of the same rows always the same bytes."""
    return gzip.compress(csv_header(components) + csv_lines(table, components), compresslevel=6, mtime=0)


def _names(components: int) -> list[str]:
    return ["path", "label", *(f"pc{number}" for number in range(1, components + 1))]


def write_csv(run: Storage, tasks: int, components: int) -> None:
    """pca.csv: `path,label,pc1..pck`, one row a picture with features, in the list's order; see `as_text`."""

    def lines(task: int) -> bytes:
        return csv_lines(read_pca(run, task), components)

    with run.writer(CSV_KEY) as stream:
        stream.write(csv_header(components))
        for piece in run_ahead(lines, range(tasks), _PARTS_AHEAD, _PARTS_AHEAD):
            stream.write(piece)


def delete_csv(run: Storage, kept: str) -> None:
    """Take away the CSV of an earlier attempt at the run that was asked for another kind of it."""
    if kept != CSV_ONE:
        run.delete(CSV_KEY)
    if kept != CSV_PARTS:
        for key in [key for batch in run.list(f"{CSV_FOLDER}/") for key in batch["path"].to_pylist()]:
            run.delete(key)


def rows_of_csv(run: Storage) -> int:
    """The rows of pca.csv beside its first line, read a piece at a time. Raises FileNotFoundError."""
    size = run.size(CSV_KEY)
    starts = range(0, size, _PIECE_BYTES)
    return csv_rows(run.read_range(CSV_KEY, start, min(_PIECE_BYTES, size - start)) for start in starts)


def rows_of_part(run: Storage, task: int) -> int:
    """The rows of a task's CSV part. Raises OSError where it is missing or broken."""
    try:
        return csv_rows([gzip.decompress(run.read(csv_key(task)))])
    except (EOFError, zlib.error) as error:
        raise gzip.BadGzipFile(str(error)) from error


def csv_rows(pieces: Iterable[bytes]) -> int:
    """How many rows a CSV has beside its header; a name may hold a line's end, between quotation marks."""
    lines, is_quoted = 0, False
    for piece in pieces:
        for number, run_of_it in enumerate(piece.split(b'"')):
            is_quoted ^= number > 0
            lines += 0 if is_quoted else run_of_it.count(b"\n")
    return max(lines - 1, 0)
