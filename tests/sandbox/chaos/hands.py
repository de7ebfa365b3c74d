"""What chaos does and sees: types commands as a person does, and looks at the bucket as nobody else."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from tests.sandbox.cloud import Cloud
from tests.sandbox.machine import SandboxError
from tests.waiting import wait_until

# What a person waits before they mend what does not come back by itself.
PATIENCE = 60
Typed = subprocess.Popen[Any]


@dataclass(frozen=True)
class Hands:
    """A person at a cloud's cluster: `begin` starts `fab WORDS`, its output to a file; `environment` leads to S3."""

    cloud: Cloud
    bucket: str
    begin: Callable[[Sequence[str], IO[str]], Typed]
    environment: Mapping[str, str]
    log: Path

    def type(self, *words: str) -> Typed:
        """Start `fab WORDS`, its output at the log's end."""
        with self.log.open("a") as log:
            print(f"\n$ fab {' '.join(words)}", file=log, flush=True)
            return self.begin(words, log)

    def must(self, *words: str) -> None:
        """Type it; raises SandboxError where it does not end with 0."""
        if code := self.type(*words).wait():
            raise SandboxError(f"`fab {' '.join(words)}` ended with exit code {code}: {self.log} says why.")

    def written(self, run: str) -> list[str]:
        """Keys of the features' parts that the run has in the bucket."""
        return self.keys(f"runs/{run}/features/")

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix; no fault is in the way."""
        pages = self._s3.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in found for entry in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    @cached_property
    def _s3(self) -> Any:
        return self.cloud.aws.keepers_client("s3")

    @contextmanager
    def gate(self, run: str, after: int) -> Iterator[Callable[[], int]]:
        """Hold what the run writes of features, but the next `after` parts; gives how many of them wait."""
        with self.cloud.aws.gate(f"s3:PUT /{self.bucket}/runs/{run}/features/*", after=after) as waiting:
            yield waiting

    def mend(self) -> None:
        """Wait until all hosts are there again; where they do not come by themselves, `make up`."""
        try:
            wait_until(self._is_whole, "the cluster to be whole", PATIENCE)
        except AssertionError:
            self.must("up")

    def _is_whole(self) -> bool:
        said = self.log.with_suffix(".status")
        with said.open("w") as file:
            code = self.begin(["status", "--json"], file).wait()
        text = said.read_text()
        if code or "{" not in text:
            return False
        # Warnings may stand before and after it.
        status, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
        return bool(status["workers_alive"] == status["workers"])
