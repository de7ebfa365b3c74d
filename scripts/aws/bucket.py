"""The cluster's bucket as the operator's side uses it: where things lie in it, and objects to and fro."""

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.cluster import Cluster
from scripts.errors import InputError

PICTURES = "pictures"
RUNS = "runs"
JOBS = "jobs"
ENVIRONMENTS = "environments"
WEIGHTS = "weights"
LEDGER = "ledger"
# One object with what runs have measured, by type of worker.
RATES_KEY = "rates/measured.json"
RECORD = "run.json"
# A run's name, as the job and the host have it: a word that is no path.
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CONNECTIONS = 8
ABSENT = {"NoSuchKey", "404"}
# In an archive, or under a key of somebody's own: it is there, and nobody who has no part in that can read it.
CLOSED = {"InvalidObjectState", "InvalidRequest"}
JSON_BYTES = 16 * 1024 * 1024  # a record has some kilobytes; whatever is larger is none


@dataclass(frozen=True)
class Bucket:
    """One bucket, reached with the person's own AWS credentials. Methods raise AwsError or MissingError."""

    name: str
    region: str

    @property
    def _client(self) -> Any:
        return clients.client("s3", self.region)

    def uri(self, key: str) -> str:
        """The address of a key in it."""
        return f"s3://{self.name}/{key}"

    def run_ids(self) -> list[str]:
        """Names of the run folders, sorted; the names that Orchard gives sort by time. Other folders are left."""
        return sorted(name for name in self.folders(RUNS) if RUN_ID.fullmatch(name))

    def job_names(self) -> list[str]:
        """Names of people's own jobs, sorted. Other folders are left."""
        return sorted(name for name in self.folders(JOBS) if RUN_ID.fullmatch(name))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders right below this one."""
        with aws_errors_as_sentences(f"list {self.uri(folder)}"):
            pages = self._pages(f"{folder}/", Delimiter="/")
            return [entry["Prefix"].split("/")[-2] for page in pages for entry in page.get("CommonPrefixes", [])]

    def keys(self, prefix: str) -> list[str]:
        """Every key below a prefix."""
        return [key for page in self.key_pages(prefix) for key in page]

    def key_pages(self, prefix: str) -> Iterator[list[str]]:
        """The same as they are listed, up to 1,000 at a time: whoever has enough asks for no more."""
        with aws_errors_as_sentences(f"list {self.uri(prefix)}"):
            for page in self._pages(prefix):
                yield [entry["Key"] for entry in page.get("Contents", [])]

    def read_json(self, key: str) -> Any:
        """An object's content; None where there is no such object, or no JSON in it."""
        with aws_errors_as_sentences(f"read {self.uri(key)}"):
            try:
                body = self._client.get_object(Bucket=self.name, Key=key)["Body"].read(JSON_BYTES + 1)
                return json.loads(body) if len(body) <= JSON_BYTES else None
            except (ValueError, RecursionError):
                return None
            except ClientError as error:
                if error.response["Error"]["Code"] in ABSENT | CLOSED:
                    return None
                raise

    def read_many(self, keys: list[str]) -> list[Any]:
        """`read_json` of each, a few at a time."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(self.read_json, keys))

    def write_json(self, key: str, content: Any) -> None:
        """Put an object."""
        with aws_errors_as_sentences(f"write {self.uri(key)}"):
            self._client.put_object(Bucket=self.name, Key=key, Body=json.dumps(content, indent=1).encode())

    def send(self, file: Path, key: str) -> None:
        """Put a file, however large."""
        with aws_errors_as_sentences(f"take {self.uri(key)}"):
            self._client.upload_file(str(file), self.name, key)

    def delete(self, keys: list[str]) -> None:
        """Delete these objects; one that is not there is fine."""
        for key in keys:
            with aws_errors_as_sentences(f"delete {self.uri(key)}"):
                self._client.delete_object(Bucket=self.name, Key=key)

    def send_weights(self, file: Path) -> str:
        """Have a file of weights in the bucket, once for each content; its address. Raises InputError without it."""
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"The weights {file} cannot be read ({error.strerror}): give WEIGHTS=file.h5, imagenet or random."
            ) from None
        # The job holds the content to the whole digest in its address: others may write to the bucket, too.
        key = f"{WEIGHTS}/{digest}/{file.name}"
        if key not in self.keys(key):
            self.send(file, key)
        return self.uri(key)

    def _pages(self, prefix: str, **more: str) -> Any:
        return self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, **more)


def bucket_of(cluster: Cluster) -> Bucket:
    """The cluster's bucket."""
    return Bucket(cluster.bucket, cluster.region)


def inputs_key(run_id: str) -> str:
    """Where a run keeps its list of pictures from its beginning: without it there is nothing to go on with."""
    return f"{RUNS}/{run_id}/inputs.parquet"


def record_key(run_id: str) -> str:
    """Where a run's record lies once it has ended."""
    return f"{RUNS}/{run_id}/{RECORD}"


def job_key(name: str, file: str) -> str:
    """Where a file of a person's own job lies."""
    return f"{JOBS}/{name}/{file}"


def environment_key(digest: str) -> str:
    """Where packages beyond the cluster's own lie as one archive, by its SHA-256."""
    return f"{ENVIRONMENTS}/{digest}.tar.gz"
