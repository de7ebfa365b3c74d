"""A double of the way to hosts (scripts.hosts.ssh.Remote): commands are answered from a list, and written down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from scripts.cluster import Cluster, Host, Limits
from scripts.errors import ConfigurationError
from scripts.hosts.ssh import Result

ORCHARD_RUN = "test -x /usr/local/bin/orchard-run || exit 78; sudo /usr/local/bin/orchard-run "
FACTS = "cat /etc/orchard/cluster.json"
Answer = Result | BaseException | Callable[[], Result]


def cluster_of(workers: int = 1, folder: Path = Path("/nowhere")) -> Cluster:
    """A cluster of a master and workers, as Terraform's outputs would have it."""
    hosts = [
        Host(name, f"i-0{number}", f"10.0.0.{5 + number}", f"198.51.100.{5 + number}")
        for number, name in enumerate(["master", *(f"worker-{number + 1}" for number in range(workers))])
    ]
    return Cluster(
        name="fruits",
        region="eu-west-1",
        bucket="orchard-fruits",
        master=hosts[0],
        workers=tuple(hosts[1:]),
        ssh_user="admin",
        ssh_key_path=folder / "id_ed25519",
        ssh_proxy_command=None,
        iam_user="orchard-fruits-person",
        master_type="m6i.large",
        worker_type="c6i.2xlarge",
        spot=False,
        root_volume_gb=20,
        ends=Limits(30, 12),
        tags={},
    )


class FakeHosts:
    """Hosts that answer as they were told to; a command that nobody prepared an answer for fails the test.

    Each answer for a command is given once, the last one again and again. Called like Hosts, it gives itself, so that
    a module under test can be handed it in place of the class.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.commands: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.closed = 0
        self.unlogged: list[str] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}

    def answer(self, host: Host, command: str, *answers: Answer | str) -> None:
        """What the host gives for a command, in this order; a text is what it prints."""
        made = [Result(0, answer, "") if isinstance(answer, str) else answer for answer in answers]
        self._answers[host.name, command] = made

    def answer_run(self, host: Host, words: str, *answers: Any) -> None:
        """What orchard-run answers for these words: JSON, or an error that is raised."""
        made = [a if isinstance(a, BaseException | Result) else Result(0, json.dumps(a), "") for a in answers]
        self.answer(host, ORCHARD_RUN + words, *made)

    def asked(self, host: Host) -> list[str]:
        """The commands that the host was given; of orchard-run only its words."""
        return [command.removeprefix(ORCHARD_RUN) for name, command in self.commands if name == host.name]

    def __call__(self, cluster: Cluster, connect_seconds: float = 10) -> Self:
        assert (cluster, connect_seconds > 0) == (self.cluster, True)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed += 1

    def run(
        self,
        host: Host,
        command: str,
        *,
        check: bool = True,
        timeout: float | None = 60,  # noqa: ARG002  there is no time here
        log: bool = True,
    ) -> Result:
        self.commands.append((host.name, command))
        if not log:
            self.unlogged.append(command)
        answers = self._answers.get((host.name, command))
        assert answers, f"nobody prepared {host.name} for `{command}`"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        done = answer() if callable(answer) else answer
        if check and done.code:
            raise ConfigurationError(f"On {host.name}, `{command}` failed.")
        return done

    def get(self, host: Host, source: str, target: Path, *, most: int) -> None:
        self.commands.append((host.name, f"get {source}"))
        target.parent.mkdir(parents=True, exist_ok=True)
        assert len(self.files[source]) <= most
        target.write_bytes(self.files[source])

    def ssh_words(self, host: Host) -> list[str]:
        return ["ssh", host.name]
