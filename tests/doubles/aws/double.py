"""An AWS of the tests' own: EC2, IAM, S3, STS, CloudWatch, SNS and schedules by moto, mended, with faults on demand.

    with AwsDouble() as aws:
        subprocess.run(["terraform", "apply"], env=os.environ | aws.environment())
        aws.fail("ec2:RunInstances", code="VcpuLimitExceeded", after=1)

By hand: `python -m tests.doubles.aws.double --port 5000`, then the environment that it prints. Its state lives as long
as its process.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from tests.doubles.aws.paths import CHECKIP_PATH, FAULTS_PATH, FIRED_PATH, KEEPER, LATENESS_PATH, RECLAIM_PATH

HERE = Path(__file__).resolve().parent
ACCOUNT = "123456789012"
HTTP_PORT = 80
START_DEADLINE = 180  # seconds; a cold moto takes about 5, on a machine with much else to do a minute


@dataclass(frozen=True)
class HostsBehind:
    """The folder in which the double and the hosts' keeper leave word, and where public addresses come from."""

    folder: Path
    public_network: str


class AwsDouble:
    """A running double: where it is, how it may fail, what it was asked.

    `host` is the address it listens on; give `0.0.0.0` when hosts in other network namespaces have to reach it.
    `hosts` says that real hosts stand behind the instances (see `moto_hosts`).
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, region: str = "eu-west-1", hosts: HostsBehind | None = None
    ) -> None:
        self._hosts = hosts
        self.region = region
        self.port = port
        self._host = host
        self._process: subprocess.Popen[str] | None = None
        # Gone with the double, whoever forgets to stop it; with hosts behind it, with their run.
        self._log = (
            (hosts.folder / "aws-double.log").open("w")
            if hosts
            else tempfile.NamedTemporaryFile("w", prefix="aws-double-", suffix=".log")  # noqa: SIM115
        )

    @property
    def endpoint_url(self) -> str:
        """The URL on this machine. Elsewhere, the same port on the address by which that place reaches this machine."""
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host  # noqa: S104
        return f"http://{host}" if self.port == HTTP_PORT else f"http://{host}:{self.port}"

    def environment(self, access_key: str = "AKIAORCHARDTESTADMIN", secret_key: str = "test") -> dict[str, str]:  # noqa: S107
        """The variables by which Terraform, boto3 and the AWS tools take the double for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ENDPOINT_URL_CHECKIP": self.endpoint_url + CHECKIP_PATH,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, config: Config | None = None, **credentials: str) -> Any:
        """A boto3 client of the double; without credentials, an administrator's."""
        identity = {"aws_access_key_id": "AKIAORCHARDTESTADMIN", "aws_secret_access_key": "test"} | credentials
        session = boto3.session.Session(region_name=self.region, **identity)
        return session.client(service, endpoint_url=self.endpoint_url, config=config)

    def keepers_client(self, service: str) -> Any:
        """A client of whoever keeps the double's hosts: no fault strikes it, its calls are not listed."""
        return self.client(service, aws_access_key_id=KEEPER)

    def start(self) -> Self:
        """Start the double's process and wait until it answers. Raises RuntimeError with its log when it does not."""
        command = [
            sys.executable,
            "-m",
            "tests.doubles.aws.double",
            "--host",
            self._host,
            "--port",
            str(self.port),
            "--with-parent",
        ]
        if self._hosts:
            command += ["--hosts", str(self._hosts.folder), "--public-network", self._hosts.public_network]
        self._process = subprocess.Popen(
            command, cwd=HERE.parents[2], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        assert self._process.stdout
        readable, _, _ = select.select([self._process.stdout], [], [], START_DEADLINE)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            self.stop()
            raise RuntimeError(f"The AWS double did not start (deadline {START_DEADLINE} s):\n{self.log()}")
        self.port = urlsplit(line.split("AWS_ENDPOINT_URL=")[1].strip()).port or HTTP_PORT
        return self

    def stop(self) -> None:
        """End the process, and with it all the double holds. May be called twice."""
        if self._process:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        """Stop at the end of a `with` block."""
        self.stop()

    def log(self) -> str:
        """What the server's process wrote: one line a request, tracebacks of calls moto does not implement."""
        return Path(self._log.name).read_text()

    def fail(self, action: str, **fault: Any) -> None:
        """Let calls fail from now on; the fields are those of `aws_server.Fault`."""
        self._talk("POST", FAULTS_PATH, json.dumps({"action": action, **fault}).encode())

    @contextmanager
    def gate(self, action: str, after: int = 0) -> Iterator[Callable[[], int]]:
        """For the time of the block, calls of this name wait, but the first `after`; gives how many wait now."""
        self.fail(action, after=after, times=sys.maxsize, held=True)
        try:
            yield lambda: int(json.loads(self._talk("GET", FAULTS_PATH))["waiting"])
        finally:
            self._talk("PATCH", FAULTS_PATH)

    def end_faults(self) -> None:
        """No more faults; gates stay, and so does the list of calls."""
        self._talk("PUT", FAULTS_PATH)

    def forget_faults(self) -> None:
        """No more faults; the list of calls starts anew."""
        self._talk("DELETE", FAULTS_PATH)

    def calls(self) -> list[str]:
        """Names of the calls since the start or the last `forget_faults`, in order."""
        calls: list[str] = json.loads(self._talk("GET", FAULTS_PATH))["calls"]
        return calls

    def pending_faults(self) -> int:
        """How many calls are still to fail."""
        return sum(fault["times"] for fault in json.loads(self._talk("GET", FAULTS_PATH))["faults"])

    def be_late(self, described_after: float = 0.0, shutting_down: Sequence[float] = (0.0,)) -> None:
        """From now on, describe what is made only after so many seconds, and let instances take so long to end."""
        late = {"described_after": described_after, "shutting_down": list(shutting_down)}
        self._talk("POST", LATENESS_PATH, json.dumps(late).encode())

    def reclaim(self, instance_id: str) -> None:
        """Take a spot instance away, as AWS does when it wants it back."""
        self._talk("POST", RECLAIM_PATH, instance_id.encode())

    def fired(self) -> list[dict[str, str]]:
        """What schedules have done so far: `schedule` (GROUP/NAME), `target`, and `error`, empty when it went well."""
        fired: list[dict[str, str]] = json.loads(self._talk("GET", FIRED_PATH))
        return fired

    def enforce_policies(self, enforced: bool = True) -> None:
        """From now on, check each call's signature and its signer's policies; the administrator is unknown then."""
        self._talk("POST", "/moto-api/reset-auth", b"0" if enforced else b"inf")

    def _talk(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.endpoint_url + path, body, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content


def _warm_up(double: AwsDouble) -> None:
    """First calls load moto's backends and now and then fail while they do; let them be ours."""
    for service, call in (
        ("ec2", "describe_vpcs"),
        ("iam", "list_users"),
        ("s3", "list_buckets"),
        ("sts", "get_caller_identity"),
    ):
        getattr(double.client(service), call)()


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its double: leave when its end of our input closes."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve in the foreground; print the environment once the double answers."""
    parser = argparse.ArgumentParser(description="An AWS endpoint for tests.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (0.0.0.0: every one)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (0: a free one)")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    parser.add_argument("--hosts", type=Path, help="folder in which the keeper of real hosts leaves word")
    parser.add_argument("--public-network", type=IPv4Network, help="where their public addresses come from")
    arguments = parser.parse_args()
    # moto reads these when it is first imported.
    os.environ["MOTO_AMIS_PATH"] = str(HERE / "debian_amis.json")
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()

    def announce(port: int) -> None:
        double = AwsDouble(arguments.host, port)
        _warm_up(double)
        print(
            "export " + " ".join(f"{name}={value}" for name, value in reversed(double.environment().items())),
            flush=True,
        )

    from tests.doubles.aws import moto_images

    moto_images.apply(arguments.hosts)
    if arguments.hosts:
        from tests.doubles.aws import moto_hosts

        moto_hosts.apply(arguments.hosts, arguments.public_network)
    from tests.doubles.aws.server import serve

    serve(arguments.host, arguments.port, announce)


if __name__ == "__main__":
    main()
