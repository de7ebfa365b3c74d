"""What a long list costs the driver: list the objects at a URI and, with `--plan`, all that it does before tasks run.

Prints one JSON object with seconds and the process's peak memory in bytes.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.job.spark_jobs import encoded_tasks
from pipeline.pictures.listing import list_pictures, plan_tasks
from pipeline.run_folder.outputs import write_inputs
from pipeline.settings import RunSettings
from pipeline.storage.base import Pictures
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage

CORES = 64


class TimedList:
    """Pictures that tell how long their list took, to time what comes after it by itself."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self.uri, self.label = pictures.uri, pictures.label
        self.seconds = 0.0

    @property
    def left_out(self) -> Sequence[str]:
        """As Pictures.left_out."""
        return self._pictures.left_out

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """As Pictures.list."""
        started = time.perf_counter()
        yield from self._pictures.list(prefix)
        self.seconds = time.perf_counter() - started

    def read(self, key: str, listed: int | None = None) -> bytes:
        """As Pictures.read."""
        return self._pictures.read(key, listed)

    def check_readable(self) -> None:
        """As Pictures.check_readable."""
        self._pictures.check_readable()


def main() -> None:
    """List, and plan where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    storage = open_storage(options.uri)
    listed, settings = TimedList(storage), RunSettings(storage.uri, "")
    started = time.perf_counter()
    pictures = list_pictures(listed, settings)
    answer = {"pictures": pictures.num_rows, "list_seconds": listed.seconds}
    if options.plan:
        inputs = plan_tasks(pictures, CORES)
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(LocalStorage.at(folder), inputs, settings)
        tasks = encoded_tasks(inputs)
        answer |= {"tasks": len(tasks), "plan_seconds": time.perf_counter() - started - listed.seconds}
    print(json.dumps({**answer, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
