"""Makes of a run folder what version 1 would have left: one table for the list, the parts in run.json."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.run_folder.inputs import read_list, read_rows
from pipeline.run_folder.part_records import read_parts
from pipeline.run_folder.record import read_record
from pipeline.storage.local import LocalStorage

LATER = ("format", "tasks", "csv", "more")
LATER_SETTINGS = ("decode", "orientation")


def to_format_1(folder: Path) -> None:
    """Rewrite the folder of a run that has ended."""
    run = LocalStorage.at(str(folder))
    stored, record = read_list(run), read_record(run)
    tables = [
        read_rows(run, stored, place.task).append_column("task", pa.array([place.task] * place.rows, pa.int32()))
        for place in stored.tasks
    ]
    settings = {name: value for name, value in stored.settings.items() if name not in LATER_SETTINGS}
    metadata = {b"orchard.settings": json.dumps(settings).encode(), b"orchard.processor": b""}
    table = pa.concat_tables(tables).replace_schema_metadata(metadata)
    pq.write_table(table, folder / "inputs.parquet", compression="zstd", use_dictionary=["label"])
    parts = [
        {"task": part.task, "rows": part.rows, "errors": part.errors, "features": part.features, "pca": part.pca}
        for part in read_parts(run, record)
    ]
    content = json.loads((folder / "run.json").read_text())
    for name in LATER:
        del content[name]
    (folder / "run.json").write_text(json.dumps({**content, "settings": settings, "parts": parts}, indent=1))
    shutil.rmtree(folder / "inputs")
    for name in ("classes.parquet", "parts.parquet"):
        (folder / name).unlink()
