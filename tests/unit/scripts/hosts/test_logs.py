"""The hosts' logs: to a folder here, or into the bucket. A host that gives none is named, and the others' are there."""

import io
import tarfile
from pathlib import Path

import pytest

from scripts.console import Phase
from scripts.errors import HostError
from scripts.hosts import logs
from scripts.hosts.ssh import Result
from tests.doubles.fake_hosts import FakeHosts, cluster_of

CLUSTER = cluster_of()
MASTER, WORKER = CLUSTER.hosts
LOST = HostError("worker-1 at 10.0.0.6 cannot be reached (no answer): `make up` checks and mends.", "no answer")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    monkeypatch.setattr(logs, "Hosts", fake)
    return fake


def packed(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{name}.log")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return made.getvalue()


def give_logs(hosts: FakeHosts) -> None:
    """Have the master give its logs."""
    hosts.answer_run(MASTER, "pack-logs", {"path": "/var/tmp/parcel.tgz"})
    hosts.answer(MASTER, "rm /var/tmp/parcel.tgz", "")
    hosts.files["/var/tmp/parcel.tgz"] = packed(master="registered\n")


def test_logs_are_unpacked_and_nothing_is_left_on_the_host(hosts: FakeHosts, tmp_path: Path) -> None:
    give_logs(hosts)
    logs.fetch(hosts, MASTER, tmp_path / "master")
    assert [file.name for file in (tmp_path / "master").iterdir()] == ["master.log"]
    assert hosts.asked(MASTER) == ["pack-logs", "get /var/tmp/parcel.tgz", "rm /var/tmp/parcel.tgz"]


def test_a_host_that_gives_none_is_named_when_the_others_logs_are_there(hosts: FakeHosts, tmp_path: Path) -> None:
    give_logs(hosts)
    hosts.answer_run(WORKER, "pack-logs", LOST)
    with pytest.raises(HostError, match=r"^No logs came from worker-1 \(no answer\): those of the other hosts are in "):
        logs.collect(CLUSTER, str(tmp_path))
    [folder] = tmp_path.iterdir()
    assert (folder / "master" / "master.log").read_text() == "registered\n"


def saved(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, **answers: object) -> Phase:
    """Save the logs where the hosts answer so; gives the phase."""
    monkeypatch.setattr(logs, "save", lambda connection, host, prefix: save_without_time(connection, host, prefix))
    for host in CLUSTER.hosts:
        hosts.answer_run(host, f"save-logs orchard-fruits logs/TIME/{host.name}", answers[host.name.partition("-")[0]])
    phase = Phase("Logs", None)
    logs.save_to_bucket(CLUSTER, phase)
    return phase


save_with_time = logs.save


def save_without_time(hosts: FakeHosts, host: object, prefix: str) -> None:
    _, stamp, name = prefix.split("/")
    assert stamp[8] == "T"
    save_with_time(hosts, host, f"logs/TIME/{name}")


def test_each_host_puts_its_logs_into_the_bucket(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    phase = saved(hosts, monkeypatch, master={"bytes": 5}, worker={"bytes": 6})
    assert phase.result.startswith("2 of 2 hosts, in s3://orchard-fruits/logs/")


def test_a_host_that_saved_none_is_named_and_left(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    phase = saved(hosts, monkeypatch, master=Result(78, "", ""), worker={"bytes": 6})
    assert phase.result.startswith("1 of 2 hosts, in s3://")
    assert "the logs of master were not saved: nothing was installed there yet\n" in capsys.readouterr().out
    assert saved(hosts, monkeypatch, master=LOST, worker=LOST).result == "none saved"
