"""The operator at work: a copy of the checkout on this machine, an AWS double with real hosts, and `fab` as typed.

Nothing of it touches the checkout. The copy's `.venv` is the checkout's own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scripts.tfvars import literal
from tests.doubles.aws.double import ACCOUNT
from tests.doubles.aws.resources import resources_of
from tests.sandbox.cloud import Cloud
from tests.sandbox.host import Host
from tests.sandbox.rehearsal.environment import variables
from tests.sandbox.ssh import Shell

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 600  # seconds for one task that hangs; the longest, a first `up`, is to take 180
# Set in Ansible alone and unlike the defaults: the operator's side has to learn them from the hosts.
STATE_DIRECTORY = "/var/lib/orchard"
# What a unit may come to in `systemd-analyze security`, in tenths of its scale of 0 to 10.
MOST_EXPOSED = 30
OVERRIDES = {
    "spark_master_ui_port": 8090,
    "orchard_state_directory": STATE_DIRECTORY,
    "jupyter_token_file": "/etc/orchard/jupyter/login",
    # They are on demand, for those alone are stopped and started; they ask all the same whether AWS takes them back.
    "cluster_worker_spot": True,
    # Of this machine's memory, which all hosts share.
    "spark_own_job_memory_mb": 1500,
}
# How the operator's side names a moment: the day stands before one of another day.
MOMENT = r"(?:\w{3} \d\d \w{3} )?\d\d:\d\d"
# Java's thorough compiler pays in long runs; here it would take the cores of all hosts at once.
QUICK_JAVA = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}


@dataclass(frozen=True)
class Typed:
    """How a task ended: exit code, what was printed on both streams, seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """Both streams, for a failed test to show."""
        return f"exit code {self.code} after {self.seconds:.0f} s\n{self.out}\n{self.err}"


class Operator:
    """A person with a laptop: `type("up")` runs `fab up` in their checkout and tells how it ended."""

    def __init__(self, folder: Path, cloud: Cloud, cluster_name: str = "story", **settings: Any) -> None:
        assert cloud.sandbox.run
        self.cloud, self.cluster_name = cloud, cluster_name
        self.checkout = folder / "checkout"
        copy_checkout(self.checkout)
        run = cloud.sandbox.run
        self.environment: dict[str, str] = {
            **variables(folder, cloud, self.checkout, **OVERRIDES, spark_environment=QUICK_JAVA),
            "PATH": f"{self.checkout / '.venv/bin'}:{os.environ['PATH']}",
        }
        defaults = {
            "cluster_name": cluster_name,
            "owner": "tester",
            "admin_cidrs": [f"{run.gateway}/32"],
            "vpc_cidr": str(run.network),
            # Lifecycle rules take a minute to settle, in AWS as in the double; terraform's own tests have them.
            "bucket_lifecycle": False,
        }
        self.settings: dict[str, Any] = defaults | settings
        self.write_settings(self.settings)

    @property
    def tfvars(self) -> Path:
        return self.checkout / "terraform" / "terraform.tfvars"

    @property
    def state(self) -> Path:
        """Where this laptop keeps the cluster's key and known hosts."""
        return self.checkout / ".orchard" / self.cluster_name

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Write terraform.tfvars anew."""
        self.tfvars.write_text("".join(f"{name} = {literal(value)}\n" for name, value in settings.items()))

    @contextmanager
    def other_settings(self, **changes: Any) -> Iterator[None]:
        """These settings for the time of a block."""
        before = self.tfvars.read_text()
        self.write_settings(self.settings | changes)
        yield
        self.tfvars.write_text(before)

    def type(self, *words: str, check: bool = True, deadline: float = DEADLINE, **environment: str) -> Typed:
        """Type `fab WORDS`; with `check`, it must end with 0. Keyword arguments are environment variables."""
        started = time.monotonic()
        process = self.begin(*words, output=None, **environment)
        try:
            out, err = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"`fab {' '.join(words)}` took more than {deadline} s:\n{out}\n{err}") from None
        done = Typed(process.returncode, out, err, time.monotonic() - started)
        assert not check or done.code == 0, f"fab {' '.join(words)}: {done.text}\n{self.log()[-3000:]}"
        return done

    def begin(self, *words: str, output: IO[str] | None = None, **environment: str) -> subprocess.Popen[str]:
        """Type it and do not wait for its end; both streams go to `output`. Nobody sits at its terminal."""
        return subprocess.Popen(
            [str(self.checkout / ".venv/bin/fab"), "-r", "scripts", *words],
            cwd=self.checkout,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT if output else subprocess.PIPE,
            text=True,
            # Ctrl-C works at a terminal, though whoever started the tests may have been told to ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def make(self, *words: str, deadline: float = DEADLINE, **environment: str) -> Typed:
        """Type `make WORDS`, as the README has it."""
        started = time.monotonic()
        done = subprocess.run(
            # What is installed is not for a test to change.
            ["make", "--old-file=.venv/.operator", *words],
            cwd=self.checkout,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
        return Typed(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL to the task itself, as when the machine runs out of memory: what it started goes on alone."""
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def log(self) -> str:
        """The latest task's log file."""
        logs = sorted((self.checkout / ".orchard" / "logs").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return logs[-1].read_text(errors="replace") if logs else ""

    @property
    def bucket(self) -> str:
        """The cluster's bucket, as Terraform names it."""
        return f"orchard-{self.cluster_name}-{ACCOUNT}-{self.cloud.aws.region}"

    @property
    def shell(self) -> Shell:
        """SSH to the hosts with the cluster's key."""
        return Shell(self.state / "id_ed25519")

    def left(self) -> list[str]:
        """What there is of the cluster by the tests' own look, which knows nothing of the product's."""
        return resources_of(self.cloud.aws.client, self.cluster_name)

    def master_says(self) -> dict[str, Any]:
        """The Spark master's own page, asked without the product's help; empty while it does not answer."""
        master = self.host("master")
        page = f"http://{master.address}:{OVERRIDES['spark_master_ui_port']}/json/"
        ask = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{page}\", timeout=5).read().decode())'"
        done = self.shell.run(master, ask)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def alive(self) -> int:
        """How many workers the master sees alive."""
        return sum(worker["state"] == "ALIVE" for worker in self.master_says().get("workers", []))

    def refused(self, code: int, *words: str, **environment: str) -> str:
        """Type it; it must end with that code. Gives its last sentence."""
        done = self.type(*words, check=False, deadline=DEADLINE, **environment)
        assert done.code == code, done.text
        return done.err.strip().rpartition("\n")[2]

    def host(self, name: str) -> Host:
        """The real host behind `master`, `worker-1` and so on."""
        return self.cloud.host_named(f"orchard-{self.cluster_name}-{name}")

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        # The tests may have been started by make, whose variables would speak to the make under test.
        foreign = ("AWS_", "TF_", "ORCHARD_", "MAKE", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | self.environment | more


def copy_checkout(target: Path) -> None:
    """The checkout as git would have it, uncommitted changes included, with the same installed environment."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time: make goes by it.
            shutil.copy2(source, target / name)
    (target / ".venv").symlink_to(Path(sys.executable).parents[1])
