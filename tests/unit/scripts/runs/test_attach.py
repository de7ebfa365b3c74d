"""What a run came to, in words and as an exit code; which run is meant where none is named."""

from dataclasses import asdict
from typing import Any

import pytest

from scripts.errors import AwsError, NoClusterError
from scripts.runs import attach
from scripts.runs.own_job import OwnJob
from scripts.runs.submission import Submission
from scripts.runs.systemd_unit import Unit
from tests.doubles.fake_hosts import FakeHosts, cluster_of

RECORD = {
    "status": "complete",
    "ended_at": "2026-01-01T00:00:00+00:00",
    "counts": {"listed": 300, "features": 298, "errors": 2},
    "seconds": {"total": 40.0},
}


class FakeBucket:
    """A bucket with the record of one run and what it was asked, or neither."""

    def __init__(self, record: dict[str, Any] | None = None, asked: dict[str, Any] | None = None) -> None:
        self.record, self.asked = record, asked

    def read_many(self, keys: list[str]) -> list[Any]:
        return [self.record if key.endswith("/run.json") else self.asked for key in keys]


def conclude(code: int, record: dict[str, Any] | None = None, asked: dict[str, Any] | None = None) -> None:
    attach.conclude(FakeBucket(record, asked), Unit("r", False, code, 1000.0, 1040.0))


def test_a_run_that_ended_well_is_summed_up_with_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(0, RECORD)
    assert capsys.readouterr().out == (
        "Run r is complete after 40 s: 298 of 300 pictures, 2 could not be read.\nNext: make results RUN=r\n"
    )


def test_what_was_said_before_stands_beside_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    asked = asdict(Submission("r", "mini", (), "imagenet", "2026-01-01T00:00:00+00:00", 9.0, "USD", 65.0))
    conclude(0, RECORD, asked)
    # One that was gone on with did only what was missing: nothing was said of that.
    conclude(0, RECORD | {"attempts": 2}, asked)
    first, _, again, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("Run r is complete after 40 s and 0.10 USD (1 min 5 s were expected): 298 of 300 pictures")
    assert again.startswith("Run r is complete after 40 s and 0.10 USD: 298 of 300 pictures")


@pytest.mark.parametrize(
    ("code", "step"),
    [
        (1, "goes on with it, `make logs` fetches every daemon's word"),
        (2, "mend what it names and start another run"),
        (20, "`make run RUN=r ARGS='--max-bad 0.05'` goes on and accepts 5 %"),
        (21, "`make logs` fetches what Spark's daemons say"),
        (22, "goes on with it once the bucket can be read and written"),
        (130, "`make run RUN=r` goes on with it"),
        (137, "`make logs` fetches every daemon's word"),
    ],
)
def test_a_run_that_failed_hands_its_code_on_and_names_the_next_step(code: int, step: str) -> None:
    with pytest.raises(attach.RunError) as failed:
        conclude(code)
    assert failed.value.code == failed.value.exit_code == code
    assert str(failed.value).startswith(f"Run r ended with exit code {code} after 40 s: ")
    assert step in str(failed.value)


OWN = asdict(OwnJob("r", "my.py", (), ("my.py",), (), "2026-01-01T00:00:00+00:00", 9.0, "USD"))


class JobBucket:
    """A bucket with a person's own job and its record."""

    def __init__(self, record: dict[str, Any] | None) -> None:
        self.record = record

    def read_many(self, keys: list[str]) -> list[Any]:
        objects = {"jobs/r/job.json": OWN, "jobs/r/record.json": self.record}
        return [objects.get(key) for key in keys]


def conclude_job(code: int, state: str | None = None) -> None:
    record = state and {"state": state, "code": code, "seconds": 40.0}
    attach.conclude(JobBucket(record), Unit("r", False, code, 1000.0, 1040.0))


def test_a_job_of_the_person_s_own_is_summed_up_without_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    conclude_job(0, "complete")
    assert capsys.readouterr().out == ("Job r is complete after 40 s and 0.10 USD.\nNext: make results JOB=r\n")


@pytest.mark.parametrize(
    ("code", "state", "sentence"),
    [
        (
            3,
            "failed",
            "Job r ended with exit code 3 after 40 s and 0.10 USD: `make results JOB=r` fetches its log and ",
        ),
        # What the numbers mean for the built-in job they do not mean for a person's.
        (
            20,
            "failed",
            "Job r ended with exit code 20 after 40 s and 0.10 USD: `make results JOB=r` fetches its log and ",
        ),
        (137, "out of memory", "Job r was killed after 40 s and 0.10 USD, out of memory: my.py took more than it may "),
        (137, None, "Job r ended with exit code 137 after 40 s and 0.10 USD: "),
    ],
)
def test_a_job_s_own_exit_code_is_handed_on(code: int, state: str | None, sentence: str) -> None:
    with pytest.raises(attach.RunError) as failed:
        conclude_job(code, state)
    assert failed.value.code == failed.value.exit_code == code
    assert str(failed.value).startswith(sentence)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (130, "Job r has ended: `make results JOB=r` fetches its log and what it wrote.\n"),
        (0, "Job r had come to its end by itself: `make results JOB=r` fetches its log and what it wrote.\n"),
    ],
)
def test_a_job_that_was_stopped_says_where_its_log_is(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = FakeHosts(cluster_of())
    hosts.answer_run(hosts.cluster.master, "list", [run("r", is_running=True)])
    hosts.answer_run(hosts.cluster.master, "stop r", {})
    monkeypatch.setattr(attach, "Hosts", hosts)
    monkeypatch.setattr(attach, "bucket_of", lambda _: JobBucket(None))
    monkeypatch.setattr(attach, "follow", lambda _, run_id: Unit(run_id, False, code, 1000.0, 1040.0))
    attach.stop(hosts.cluster, "")
    assert capsys.readouterr().out == said


def run(run_id: str, is_running: bool = False) -> dict[str, Any]:
    return {"run_id": run_id, "is_running": is_running, "code": None, "began_at": 1.0, "ended_at": None}


def test_the_latest_run_or_the_only_one_that_goes_on_is_meant_where_none_is_named() -> None:
    hosts = FakeHosts(cluster_of())
    hosts.answer_run(hosts.cluster.master, "list", [run("a", is_running=True), run("b")])
    assert attach.latest(hosts, "").run_id == "b"
    assert attach.latest(hosts, "a").run_id == "a"
    assert attach.one_running(hosts, "").run_id == "a"
    with pytest.raises(NoClusterError, match=r"^No run b is under way: `make runs` lists what there is\.$"):
        attach.one_running(hosts, "b")
    with pytest.raises(NoClusterError, match=r"^The master knows of no run c: "):
        attach.latest(hosts, "c")


def test_without_runs_the_way_to_begin_one_is_named() -> None:
    hosts = FakeHosts(cluster_of())
    hosts.answer_run(hosts.cluster.master, "list", [])
    with pytest.raises(NoClusterError, match=r"^No run was begun since the master started: `make run` begins one\.$"):
        attach.latest(hosts, "")
    with pytest.raises(NoClusterError, match=r"^No run is under way: "):
        attach.one_running(hosts, "")


WHOLE = RECORD | {
    "ended_at": "2026-11-20T12:00:00+00:00",
    "counts": {"listed": 20_622, "features": 20_622, "errors": 0},
    "images_per_second": 1600.0,
    "attempts": 1,
    "settings": {"engine": "openvino", "precision": "f32", "image_size": 224},
    "worker_seconds": {"engine": 9.0, "network": 80.0, "wait": 18.0, "write": 2.0},
    "hosts": ["worker-1", "worker-2"],
    "processors": {"AMD EPYC 9R14": ["worker-1", "worker-2"]},
    "losses": [],
}


class RatesBucket(FakeBucket):
    """A bucket with the record of one run, and what was put into it, which a test may refuse."""

    def __init__(self, record: dict[str, Any], refuses: bool = False) -> None:
        super().__init__(record)
        self.put: list[tuple[str, Any]] = []
        self.refuses = refuses

    def read_json(self, _: str) -> Any:
        return None

    def write_json(self, key: str, content: Any) -> None:
        if self.refuses:
            raise AwsError("AWS does not let you write s3://b/rates/measured.json.")
        self.put.append((key, content))


def test_a_whole_runs_rate_by_type_of_worker_goes_to_the_bucket() -> None:
    bucket = RatesBucket(WHOLE)
    attach.keep_rate(bucket, cluster_of(2), "r")
    [(key, content)] = bucket.put
    assert key == "rates/measured.json"
    assert content["rates"] == [
        {
            "instance_type": cluster_of(2).worker_type, "precision": "f32", "per_second": 800.0, "pictures": 20_622,
            "run_id": "r", "at": "2026-11-20T12:00:00+00:00",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"attempts": 2},
        {"processors": {"a": ["worker-1"], "b": ["worker-2"]}},
        {"losses": [{"host": "worker-2"}]},
        {"hosts": ["worker-1"]},
        {"worker_seconds": {"network": 40.0, "wait": 60.0}},
        {"worker_seconds": {}},
        {"worker_seconds": {"network": float("nan")}},
        {"settings": {"engine": "openvino", "precision": "f32", "image_size": 160}},
        {"counts": {"listed": 300, "features": 300, "errors": 0}},
    ],
    ids=str,
)
def test_one_that_was_resumed_mixed_or_small_leaves_the_bucket_as_it_was(more: dict[str, Any]) -> None:
    bucket = RatesBucket(WHOLE | more)
    attach.keep_rate(bucket, cluster_of(2), "r")
    assert bucket.put == []


def test_a_rate_that_cannot_be_kept_is_a_line_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    attach.keep_rate(RatesBucket(WHOLE, refuses=True), cluster_of(2), "r")
    assert "was is not kept: AWS does not let you write" in capsys.readouterr().err
