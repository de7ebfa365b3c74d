"""What a long list costs the driver: list the objects at a URI and, with `--plan`, all that it does before tasks run.

Prints one JSON object with seconds and the process's peak memory in bytes.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.listing import list_pictures, plan_tasks
from pipeline.locations import open_storage
from pipeline.outputs import write_inputs
from pipeline.phases import packed_tasks
from pipeline.settings import RunSettings
from pipeline.storage_local import LocalStorage

CORES = 64


@dataclass(frozen=True)
class Listed:
    """A list that has been read already, to time what comes after it by itself."""

    uri: str
    label: str
    batches: list[pa.RecordBatch]

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """As Pictures.list; the batches were asked for with a prefix or without."""
        return iter(self.batches)

    def read(self, key: str) -> bytes:
        """Nothing is read when a list is planned."""
        raise FileNotFoundError(key)


def main() -> None:
    """List, and plan where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    storage = open_storage(options.uri)
    marks = [time.perf_counter()]
    listed = Listed(storage.uri, storage.label, list(storage.list()))
    marks.append(time.perf_counter())
    answer = {"pictures": sum(batch.num_rows for batch in listed.batches), "list_seconds": marks[1] - marks[0]}
    if options.plan:
        settings = RunSettings(storage.uri, "")
        inputs = plan_tasks(list_pictures(listed, settings), CORES)
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(LocalStorage.at(folder), inputs, settings)
        tasks = packed_tasks(inputs)
        answer |= {"tasks": len(tasks), "plan_seconds": time.perf_counter() - marks[1]}
    print(json.dumps({**answer, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
