"""Some of a run's pictures, evenly from its list, as far as they lie loose in the cluster's own bucket."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.aws.bucket import CONNECTIONS, PICTURES, Bucket, inputs_key
from scripts.handin.links import PICTURES as SHOWN
from scripts.handin.run_facts import RunFacts

HOW_MANY = 12
LIST_BYTES = 256 * 1024 * 1024  # a list of ten million pictures has less
COLUMNS = ["path", "label"]
ABOUT = b"orchard.about"


@dataclass(frozen=True)
class Picture:
    """A picture of the run: where it lies, and its class."""

    key: str
    label: str


def some_of(bucket: Bucket, run: RunFacts, how_many: int = HOW_MANY) -> list[Picture]:
    """So many pictures at most; none where they are packed, gone, or elsewhere. Raises AwsError or MissingError.

    A run.json that names another bucket has no link signed to it: who can write there is not to read by our rights.
    """
    folder = f"{run.images.rstrip('/')}/"
    if not folder.startswith(bucket.uri(f"{PICTURES}/")):
        return []
    prefix = folder.removeprefix(bucket.uri(""))
    chosen = [Picture(f"{prefix}{path}", label) for path, label in _rows(_list(bucket, run.run_id), how_many)]
    shown = [picture for picture in chosen if picture.key.lower().endswith(tuple(SHOWN))]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        there = pool.map(lambda picture: _is_there(bucket, picture.key), shown)
        return [picture for picture, is_there in zip(shown, there, strict=True) if is_there]


def _list(bucket: Bucket, run_id: str) -> bytes:
    """The run's list as it was kept; nothing where it is gone, or too large for one."""
    key, s3 = inputs_key(run_id), clients.client("s3", bucket.region)
    with aws_errors_as_sentences(f"read {bucket.uri(key)}"):
        try:
            found = s3.get_object(Bucket=bucket.name, Key=key)
        except s3.exceptions.NoSuchKey:
            return b""
        return bytes(found["Body"].read()) if found["ContentLength"] <= LIST_BYTES else b""


def _rows(listed: bytes, how_many: int) -> Iterator[tuple[str, str]]:
    """Path and class of rows spread evenly over the list, which is in order of the classes."""
    try:
        parquet = pq.ParquetFile(io.BytesIO(listed))
        if shown := _shown(parquet):
            chosen = {(2 * number + 1) * len(shown) // (2 * how_many): None for number in range(how_many)}
            yield from (shown[place] for place in chosen)
            return
        total, seen = parquet.metadata.num_rows, 0
        wanted = [(2 * number + 1) * total // (2 * how_many) for number in range(how_many)]
        for batch in parquet.iter_batches(columns=COLUMNS):
            for row in sorted({row - seen for row in wanted if seen <= row < seen + batch.num_rows}):
                yield str(batch["path"][row].as_py()), str(batch["label"][row].as_py())
            seen += batch.num_rows
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError):
        # No list at all, or something else in its place: others may write to the bucket, too.
        return


def _shown(index: pq.ParquetFile) -> list[tuple[str, str]]:
    """Pictures from all over the list, which the job names in its index; none in a list of before, which is whole."""
    about = json.loads((index.schema_arrow.metadata or {}).get(ABOUT, b"{}"))
    return [(str(path), str(label)) for path, label in about.get("shown", ())]


def _is_there(bucket: Bucket, key: str) -> bool:
    try:
        clients.client("s3", bucket.region).head_object(Bucket=bucket.name, Key=key)
    except ClientError:
        return False
    return True
