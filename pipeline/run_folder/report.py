"""report.html: one file that needs no network, made from the run folder (and the pictures, where they can be read)."""

import base64
import colorsys
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from pipeline.parallel import run_ahead
from pipeline.run_folder.errors_file import first_errors
from pipeline.run_folder.inputs import class_counts, read_list
from pipeline.run_folder.layout import REPORT_KEY
from pipeline.run_folder.nearest_neighbour import same_label_as_nearest
from pipeline.run_folder.part_records import Part, read_parts
from pipeline.run_folder.parts import read_pca, vectors_of
from pipeline.run_folder.record import RunRecord
from pipeline.run_folder.thumbnails import THUMBNAIL_PIXELS, Shown, thumbnails_in
from pipeline.storage.base import Storage

# Bounds that keep the page at a few MB and its making at seconds, whatever the size of the run.
ROWS_FOR_NEIGHBOURS = 25_000
CLASSES_SHOWN = 1_000
SPRITE_COLUMNS = 40
SPRITE_BYTES = 2_000_000
ERRORS_SHOWN = 100
READERS = 16


@dataclass(frozen=True)
class Sample:
    """Some of the run's rows, spread evenly over the list: vectors (n, k) with their paths and labels.

    `shown` are the rows on the map; where they have `thumbnails`, these stand by their paths.
    """

    paths: list[str]
    labels: NDArray[np.str_]
    vectors: NDArray[np.float32]
    shown: NDArray[np.int64]
    thumbnails: dict[str, bytes]
    whole: bool


def write_report(run: Storage, record: RunRecord) -> None:
    """Write report.html into the run."""
    run.write(REPORT_KEY, render(run, record).encode())


def render(run: Storage, record: RunRecord) -> str:
    """The page. Raises FileNotFoundError where a part of the run is missing."""
    counts = class_counts(run, read_list(run))
    sample = _sample(run, read_parts(run, record), record.counts["features"])
    environment = Environment(
        loader=PackageLoader("pipeline.run_folder", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["size"] = _mebibytes
    page: str = environment.get_template("report.html.j2").render(
        record=record,
        classes=_class_rows(counts, sample),
        classes_in_all=len(counts),
        neighbours_of_all=sample.whole,
        neighbour_rows=len(sample.paths),
        scree=_scree(record.explained_variance_ratio),
        map=_map(sample, record),
        errors=first_errors(run, ERRORS_SHOWN),
    )
    return page


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _sample(run: Storage, parts: Sequence[Part], total: int) -> Sample:
    """All rows, or some of each of some parts, which stand evenly all over the list, and all that the map shows."""
    on_map = Shown.of(sum(part.rows + part.errors for part in parts), len(parts))
    read = parts[:: on_map.parts]
    step = max(1, -(-sum(part.rows for part in read) // ROWS_FOR_NEIGHBOURS))
    chosen, thumbnails, seen = [], dict[str, bytes](), 0
    tables = run_ahead(lambda part: read_pca(run, part.task), read, READERS, READERS)
    for part, table in zip(read, tables, strict=True):
        shown = np.array([on_map.has(part.task, path) for path in table["path"].to_pylist()], bool)
        is_chosen = shown.copy()
        is_chosen[-seen % step :: step] = True
        chosen.append(
            table.replace_schema_metadata().append_column("shown", pa.array(shown)).filter(pa.array(is_chosen))
        )
        thumbnails |= thumbnails_in(table)
        seen += table.num_rows
    rows = pa.concat_tables(chosen)
    # Where nearly all pictures are bad, chance may have chosen none of the others.
    on_the_map = np.flatnonzero(rows["shown"]) if pc.any(rows["shown"]).as_py() else np.arange(rows.num_rows)
    return Sample(
        rows["path"].to_pylist(),
        rows["label"].to_numpy().astype(str),
        vectors_of(rows, "pca"),
        on_the_map,
        thumbnails,
        rows.num_rows == total,
    )


def _class_rows(counts: Counter[str], sample: Sample) -> list[dict[str, Any]]:
    """The largest classes, in the order of their names, with the share of pictures beside one of their own."""
    same = Counter(sample.labels[same_label_as_nearest(sample.vectors, sample.labels)].tolist())
    there = Counter(sample.labels.tolist())
    shown = sorted(label for label, _ in counts.most_common(CLASSES_SHOWN))
    return [
        {"label": label, "count": counts[label], "accuracy": same[label] / there[label] if there[label] else None}
        for label in shown
    ]


def _colours(labels: list[str]) -> dict[str, str]:
    """A colour for each class: hues a golden angle apart, so that neighbours in the list differ."""
    colours = {}
    for number, label in enumerate(labels):
        red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.40, 0.55, 0.66)[number % 3], 0.65)
        colours[label] = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
    return colours


def _scree(ratios: list[float]) -> dict[str, Any]:
    """The scree plot's points in a 640 x 240 box: each ratio as a bar, the cumulated ratio as a line."""
    width, height = 640, 240
    cumulated = np.cumsum(ratios)
    step = width / len(ratios)
    highest = max(ratios) or 1.0
    bars = [
        {"x": number * step, "w": max(step * 0.8, 0.6),
         "y": height * (1 - ratio / highest), "h": height * ratio / highest,
         "text": f"pc{number + 1}: {ratio:.2%}, together {cumulated[number]:.2%}"}
        for number, ratio in enumerate(ratios)
    ]  # fmt: skip
    line = " ".join(f"{(number + 0.4) * step:.1f},{height * (1 - value):.1f}" for number, value in enumerate(cumulated))
    marks = {goal: int(np.argmax(cumulated >= goal)) + 1 for goal in (0.5, 0.8, 0.9, 0.95) if cumulated[-1] >= goal}
    return {"bars": bars, "line": line, "highest": highest, "marks": marks, "count": len(ratios)}


def _map(sample: Sample, record: RunRecord) -> dict[str, Any]:
    """The points of pc1 and pc2 for the page's script, with one sprite of thumbnails where all have one."""
    paths, labels = [sample.paths[row] for row in sample.shown], sample.labels[sample.shown].tolist()
    planar = sample.vectors[sample.shown, :2].astype(float)
    if planar.shape[1] < 2:
        planar = np.hstack([planar, np.zeros((len(planar), 1))])
    low, high = planar.min(axis=0), planar.max(axis=0)
    names, has_all = sorted(set(labels)), sample.thumbnails.keys() >= set(paths)
    return {
        # As shares of the map's width and height: features may be of any scale.
        "points": np.round((planar - low) / np.where(high > low, high - low, 1), 4).tolist(),
        "paths": paths,
        "labels": [names.index(label) for label in labels],
        "names": names,
        "colours": list(_colours(names).values()),
        "sprite": _sprite([sample.thumbnails[path] for path in paths]) if has_all else "",
        "tile": THUMBNAIL_PIXELS,
        "columns": SPRITE_COLUMNS,
        "total": record.counts["features"],
    }


def _sprite(thumbnails: Sequence[bytes]) -> str:
    """All thumbnails side by side as one data URI; empty for none."""
    if not thumbnails:
        return ""
    rows = -(-len(thumbnails) // SPRITE_COLUMNS)
    sheet = Image.new("RGB", (SPRITE_COLUMNS * THUMBNAIL_PIXELS, rows * THUMBNAIL_PIXELS), "white")
    for number, jpeg in enumerate(thumbnails):
        top, left = (place * THUMBNAIL_PIXELS for place in divmod(number, SPRITE_COLUMNS))
        sheet.paste(Image.open(io.BytesIO(jpeg)), (left, top))
    return "data:image/jpeg;base64," + _jpeg(sheet).decode()


def _jpeg(sheet: Image.Image) -> bytes:
    """As base64, in the best quality in which it is no longer than SPRITE_BYTES, or in the last."""
    encoded = b""
    for quality in (80, 60, 40, 20):
        jpeg = io.BytesIO()
        sheet.save(jpeg, "JPEG", quality=quality)
        if len(encoded := base64.b64encode(jpeg.getvalue())) <= SPRITE_BYTES:
            break
    return encoded
