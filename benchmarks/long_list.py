"""What a long list costs the driver: list the objects at a URI and, with `--plan`, all that it does before tasks run.

Prints one JSON object with seconds and the process's peak memory in bytes.
"""

import argparse
import json
import resource
import tempfile
import time

from pipeline.pictures.listing import listed
from pipeline.pictures.tasks import planned
from pipeline.run_folder.inputs import write_list
from pipeline.settings import RunSettings
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage

CORES = 64


def main() -> None:
    """List, and plan where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    storage = open_storage(options.uri)
    settings = RunSettings(storage.uri, "")
    started = time.perf_counter()
    with listed(storage, settings) as pictures:
        answer = {"pictures": pictures.rows, "list_seconds": time.perf_counter() - started}
        if options.plan:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                stored = write_list(
                    LocalStorage.at(folder), planned(pictures, CORES), pictures.rows, pictures.counts, settings
                )
            answer |= {"tasks": len(stored.tasks), "plan_seconds": time.perf_counter() - started}
    print(json.dumps({**answer, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
