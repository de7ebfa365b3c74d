"""The hosts' logs: to a folder here, or into the bucket. A host that gives none is named, and the others' are there."""

import gzip
import io
import lzma
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

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


def tar_of(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for entry, content in entries:
            entry.size = entry.size or len(content)
            tar.addfile(entry, io.BytesIO(content) if content else None)
    return made.getvalue()


def entry(name: str, content: str = "", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made, content.encode()


def give_logs(hosts: FakeHosts, executors: bytes = b"") -> None:
    """Have the master give its logs, with these of its executors."""
    hosts.answer_run(MASTER, "pack-logs", {"path": "/var/tmp/parcel.tar"})
    hosts.answer(MASTER, "rm /var/tmp/parcel.tar", "")
    journal = entry("master.log", "registered\n")
    parcel = [journal] if not executors else [journal, (tarfile.TarInfo("executors.tar.gz"), executors)]
    hosts.files["/var/tmp/parcel.tar"] = tar_of(*parcel, mode="w:gz")


def test_logs_are_unpacked_and_nothing_is_left_on_the_host(hosts: FakeHosts, tmp_path: Path) -> None:
    give_logs(hosts, tar_of(entry("work/app-1/0/stderr", "said\n"), mode="w:gz"))
    assert logs.fetch(hosts, MASTER, tmp_path / "master") == []
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == {
        "master/master.log",
        "master/work/app-1/0/stderr",
    }
    assert hosts.asked(MASTER) == ["pack-logs", "get /var/tmp/parcel.tar", "rm /var/tmp/parcel.tar"]


def unpacked(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}


def test_what_an_executor_forged_is_named_and_the_rest_is_there(hosts: FakeHosts, tmp_path: Path) -> None:
    sparse = entry("work/sparse", "x" * 512)
    sparse[0].type = tarfile.GNUTYPE_SPARSE
    forged = tar_of(
        entry("/etc/orchard-absolute", "evil"),
        entry("work/../../../up", "evil"),
        entry("work/../master.log", "evil"),
        entry("master.log", "evil"),
        entry("executors.tar.gz", "evil"),
        entry("work/link", type=tarfile.SYMTYPE, linkname="/etc"),
        entry("work/hard", type=tarfile.LNKTYPE, linkname="../../../secret"),
        entry("work/zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        entry("work/pipe", type=tarfile.FIFOTYPE),
        sparse,
        entry("work/app-1/0/stderr", "said\n"),
        mode="w:gz",
    )
    give_logs(hosts, forged)
    left = logs.fetch(hosts, MASTER, tmp_path / "a" / "master")
    assert unpacked(tmp_path) == {"a/master/master.log", "a/master/work/app-1/0/stderr"}
    # Root's own word is as root packed it.
    assert (tmp_path / "a" / "master" / "master.log").read_text() == "registered\n"
    assert len(left) == 10


def huge_header(kind: bytes) -> bytes:
    """A header before a file that claims to be as long as this machine has memory."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 200 * 1024 * 1024
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(2 * 1024 * 1024))


def nested(kind: bytes, times: int) -> bytes:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 512
    return gzip.compress((header.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * times)


def odd(**headers: str) -> bytes:
    made, content = entry("work/0/stderr", "said\n")
    made.pax_headers = headers
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(made, io.BytesIO(content))
    return sink.getvalue()


@pytest.mark.parametrize(
    "forged",
    [
        huge_header(tarfile.GNUTYPE_LONGNAME),
        huge_header(tarfile.XHDTYPE),
        nested(tarfile.GNUTYPE_LONGNAME, 3000),
        odd(mtime="nan"),
        odd(mtime="1e30"),
        odd(path="work/a\0b"),
        odd(path="work/" + "d/" * 1500 + "x"),
        odd(size="1e9"),
        lzma.compress(tar_of(entry("work/x", "x"))),
        b"no tar",
        b"\x1f\x8b" + b"\0" * 30,
    ],
)
def test_a_forged_parcel_is_said_and_takes_no_memory_and_no_more_than_its_own_logs(
    hosts: FakeHosts, tmp_path: Path, forged: bytes
) -> None:
    give_logs(hosts, forged)
    tracemalloc.start()
    try:
        left = logs.fetch(hosts, MASTER, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert unpacked(tmp_path) - {"master.log", "work/0/stderr"} == set()
    assert left or (tmp_path / "work" / "0" / "stderr").exists()
    assert (tmp_path / "master.log").exists()


def test_a_parcel_that_unpacks_without_end_is_given_up(
    hosts: FakeHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = tar_of(
        entry("work/0/stderr", "said\n"),
        entry("work/0/stdhuge", "x" * 9000),
        entry("work/0/stdout", "said\n"),
        mode="w:gz",
    )
    monkeypatch.setattr(logs, "UNPACKED_BYTES", 8000)
    give_logs(hosts, huge)
    monkeypatch.setattr(hosts, "get", lambda _host, source, target, **_: target.write_bytes(hosts.files[source]))
    left = logs.fetch(hosts, MASTER, tmp_path)
    assert left[0] == "work/0/stdhuge has no place among logs, and was left"
    assert left[1].startswith(
        "executors.tar.gz is broken, and the rest of it was left (ReadError: more than 8000 bytes"
    )
    assert unpacked(tmp_path) == {"master.log", "work/0/stderr"}


def test_a_host_that_gives_none_is_named_when_the_others_logs_are_there(hosts: FakeHosts, tmp_path: Path) -> None:
    give_logs(hosts)
    hosts.answer_run(WORKER, "pack-logs", LOST)
    with pytest.raises(HostError, match=r"^No logs came from worker-1 \(no answer\): those of the other hosts are in "):
        logs.collect(CLUSTER, str(tmp_path))
    [folder] = tmp_path.iterdir()
    assert (folder / "master" / "master.log").read_text() == "registered\n"


def test_of_thousands_of_forged_names_a_few_are_said(
    hosts: FakeHosts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give_logs(hosts, tar_of(*(entry(f"x{number}", "evil") for number in range(3000)), mode="w:gz"))
    hosts.answer_run(WORKER, "pack-logs", LOST)
    with pytest.raises(HostError):
        logs.collect(CLUSTER, str(tmp_path))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("master: ")]
    assert len(said) == 11
    assert said[-1] == "master: and 2,990 more"


def saved(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, **answers: object) -> Phase:
    """Save the logs where the hosts answer so; gives the phase."""
    monkeypatch.setattr(logs, "save", lambda connection, host, prefix: save_without_time(connection, host, prefix))
    for host in CLUSTER.hosts:
        hosts.answer_run(host, f"save-logs orchard-fruits logs/TIME/{host.name}", answers[host.name.partition("-")[0]])
    phase = Phase("Logs", None)
    logs.save_to_bucket(CLUSTER, phase)
    return phase


save_with_time = logs.save


def save_without_time(hosts: FakeHosts, host: object, prefix: str) -> str:
    _, stamp, name = prefix.split("/")
    assert stamp[8] == "T"
    return save_with_time(hosts, host, f"logs/TIME/{name}")


def test_each_host_puts_its_logs_into_the_bucket(hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    phase = saved(hosts, monkeypatch, master={"bytes": 5, "left": []}, worker={"bytes": 6, "left": []})
    assert phase.result.startswith("2 of 2 hosts, in s3://orchard-fruits/logs/")


def test_what_outlives_the_cluster_and_was_left_is_said_and_the_logs_are_saved(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"bytes": 5, "left": ["orchard-events.service"]}
    phase = saved(hosts, monkeypatch, master=told, worker={"bytes": 6, "left": []})
    assert phase.result.startswith("2 of 2 hosts, in s3://orchard-fruits/logs/")
    assert "event logs and notebooks were not kept to the last minute: orchard-events.service failed\n" in (
        capsys.readouterr().out
    )


def test_a_master_of_an_earlier_orchard_is_said_to_keep_no_notebooks(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(hosts, monkeypatch, master={"bytes": 5}, worker={"bytes": 6})
    printed = capsys.readouterr().out
    assert printed.count("event logs and notebooks were not kept") == 1
    assert "the master is of an earlier Orchard and keeps none: `make up` first\n" in printed


def test_a_host_that_saved_none_is_named_and_left(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    phase = saved(hosts, monkeypatch, master=Result(78, "", ""), worker={"bytes": 6})
    assert phase.result.startswith("1 of 2 hosts, in s3://")
    assert "the logs of master were not saved: nothing was installed there yet\n" in capsys.readouterr().out
    assert saved(hosts, monkeypatch, master=LOST, worker=LOST).result == "none saved"
