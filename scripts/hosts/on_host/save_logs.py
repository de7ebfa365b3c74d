"""Put a host's journals, Spark's event logs and the executors' own logs into the bucket: BUCKET PREFIX.

Runs as root in the environment of the cluster's units. Prints how many bytes it has put there.
"""

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3

UNITS = ("spark-*", "jupyter*", "orchard-*")
STATE = Path("/var/lib/spark")


def journal() -> bytes:
    """What the units have logged."""
    words = ["journalctl", "--no-pager", "--output=short-iso", *(f"--unit={unit}" for unit in UNITS)]
    return gzip.compress(subprocess.run(words, capture_output=True, check=True).stdout)


def archive(folder: Path, pattern: str) -> bytes:
    """The files below a folder as a tar; one that goes away meanwhile is left out."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for file in sorted(folder.rglob(pattern)):
            if file.is_file():
                try:
                    tar.add(file, arcname=str(file.relative_to(folder)))
                except FileNotFoundError:
                    continue
    return made.getvalue()


def main(bucket: str, prefix: str) -> None:
    """Collect and put."""
    s3 = boto3.client("s3")
    parts = {"journal.txt.gz": journal()}
    if (STATE / "events").is_dir():
        parts["events.tar.gz"] = archive(STATE / "events", "*")
    if (STATE / "work").is_dir():
        parts["executors.tar.gz"] = archive(STATE / "work", "std*")
    for name, content in parts.items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)
    print(sum(map(len, parts.values())))


if __name__ == "__main__":
    main(*sys.argv[1:])
