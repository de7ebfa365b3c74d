"""Beginning a run: a new one, one that goes on, and who has to wait."""

from typing import Any

import pytest

from scripts.errors import BusyError, InputError
from scripts.runs import start
from scripts.runs.start import RunRequest
from tests.doubles.fake_hosts import FACTS, FakeHosts, cluster_of

CLUSTER = cluster_of()
RUNNING = {"run_id": "other", "is_running": True, "code": None, "began_at": 1.0, "ended_at": None}
WHERE = "--images s3://orchard-fruits/pictures --output s3://orchard-fruits/runs"


class FakeBucket:
    """A bucket's objects by key."""

    name = CLUSTER.bucket

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.objects if key.startswith(prefix)]

    def read_many(self, keys: list[str]) -> list[Any]:
        return [self.objects.get(key) for key in keys]

    def write_json(self, key: str, content: Any) -> None:
        self.objects[key] = content


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    fake.answer_run(CLUSTER.master, "list", [])
    monkeypatch.setattr(start, "Hosts", fake)
    monkeypatch.setattr(start.prices, "of", lambda _: None)
    monkeypatch.setattr(start.estimate, "say", lambda *_: 35.0)
    return fake


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> FakeBucket:
    fake = FakeBucket()
    monkeypatch.setattr(start, "bucket_of", lambda _: fake)
    return fake


def begun(hosts: FakeHosts, words: str, *request: str) -> str:
    """Begin what is asked for; the master must be given these words."""
    hosts.answer_run(CLUSTER.master, words, {})
    run_id = start.start(CLUSTER, RunRequest(*request))
    assert hosts.asked(CLUSTER.master) == ["list", words]
    hosts.commands.clear()
    return run_id


def test_a_run_is_kept_in_the_bucket_and_goes_on_in_the_same_words(
    hosts: FakeHosts, bucket: FakeBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    job = f"start r --description 'Orchard run, apples' -- {WHERE} --run-id r --weights random --classes 'Apple*'"
    assert begun(hosts, f"{job} --components 9", "apples", "--components 9", "r", "random") == "r"
    assert bucket.objects["submissions/r.json"]["words"] == ("--classes", "Apple*", "--components", "9")
    assert bucket.objects["submissions/r.json"]["expected_seconds"] == 35.0
    bucket.objects["runs/r/inputs.parquet"] = None
    begun(hosts, f"{job} --components 9 --max-bad 0.05 --resume", "", "--max-bad 0.05", "r")
    assert capsys.readouterr().out == (
        "Run r (apples) has begun on the master.\n"
        "As it was begun: --classes 'Apple*' --components 9 --weights random\n"
        "Run r (apples) goes on on the master.\n"
    )


def test_a_run_that_goes_on_takes_neither_another_size_nor_other_weights(hosts: FakeHosts, bucket: FakeBucket) -> None:
    begun(hosts, f"start r --description 'Orchard run, full' -- {WHERE} --run-id r --weights imagenet", "full", "", "r")
    bucket.objects["runs/r/inputs.parquet"] = None
    for request in (RunRequest("mini", run_id="r"), RunRequest(weights="random", run_id="r")):
        with pytest.raises(InputError, match=r"^Run r was begun with SIZE=full and goes on with the same weights: "):
            start.start(CLUSTER, request)
    del bucket.objects["submissions/r.json"]
    with pytest.raises(InputError, match=r"^Run r was not begun by `make run`: choose another RUN\.$"):
        start.start(CLUSTER, RunRequest(run_id="r"))


def test_a_run_that_ended_before_its_list_begins_again_in_the_same_words(hosts: FakeHosts, bucket: FakeBucket) -> None:
    job = f"start r --description 'Orchard run, full' -- {WHERE} --run-id r --weights random"
    begun(hosts, f"{job} --components 9", "full", "--components 9", "r", "random")
    begun(hosts, f"{job} --components 9", "", "", "r")
    # Other words are another run: nothing of the first is there.
    begun(hosts, f"{job} --components 8", "full", "--components 8", "r", "random")


def test_what_it_will_take_is_said_of_a_run_that_begins_and_not_of_one_that_goes_on(
    hosts: FakeHosts, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(start.estimate, "say", lambda _hosts, _bucket, submission: said.append(submission.size))
    job = f"start r --description 'Orchard run, full' -- {WHERE} --run-id r --weights random"
    begun(hosts, job, "full", "", "r", "random")
    begun(hosts, job, "", "", "r")
    assert said == ["full", "full"]
    bucket.objects["runs/r/inputs.parquet"] = None
    begun(hosts, f"{job} --resume", "", "", "r")
    assert said == ["full", "full"]


@pytest.mark.parametrize("words", ["--run-id other", "--output=s3://elsewhere", "--images x", "--master local"])
def test_what_make_run_says_itself_is_refused_in_args(hosts: FakeHosts, bucket: FakeBucket, words: str) -> None:
    option = words.replace("=", " ").split()[0]
    with pytest.raises(InputError, match=rf"^{option} is `make run`'s own: leave it out of ARGS\.$"):
        start.start(CLUSTER, RunRequest(arguments=words))


def test_an_engine_that_the_workers_lack_is_refused_before_anything_is_kept_or_begun(
    hosts: FakeHosts, bucket: FakeBucket
) -> None:
    hosts.answer(CLUSTER.master, FACTS, '{"worker_tensorflow": false}')
    for words in ("--engine tensorflow", "--engine=tensorflow --limit 3"):
        with pytest.raises(InputError, match=r"^The workers have no TensorFlow, .*: set worker_tensorflow = true in "):
            start.start(CLUSTER, RunRequest(arguments=words, run_id="r", weights="random"))
    assert bucket.objects == {}
    assert hosts.asked(CLUSTER.master) == ["list", FACTS] * 2
    # What was begun while they had it goes on where they have it.
    hosts.answer(CLUSTER.master, FACTS, '{"worker_tensorflow": true}', '{"worker_tensorflow": false}')
    words = f"start r --description 'Orchard run, mini' -- {WHERE} --run-id r --weights random --limit 300"
    hosts.answer_run(CLUSTER.master, f"{words} --engine tensorflow", {})
    assert start.start(CLUSTER, RunRequest(arguments="--engine tensorflow", run_id="r", weights="random")) == "r"
    bucket.objects["runs/r/inputs.parquet"] = None
    with pytest.raises(InputError, match=r"^The workers have no TensorFlow"):
        start.start(CLUSTER, RunRequest(run_id="r"))


def test_a_cluster_of_an_earlier_orchard_has_tensorflow_everywhere(hosts: FakeHosts, bucket: FakeBucket) -> None:
    hosts.answer(CLUSTER.master, FACTS, "{}")
    words = f"start r --description 'Orchard run, mini' -- {WHERE} --run-id r --weights random --limit 300"
    hosts.answer_run(CLUSTER.master, f"{words} --engine tensorflow", {})
    assert start.start(CLUSTER, RunRequest(arguments="--engine tensorflow", run_id="r", weights="random")) == "r"


def test_one_run_at_a_time(hosts: FakeHosts, bucket: FakeBucket, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.answer_run(CLUSTER.master, "list", [RUNNING])
    with pytest.raises(BusyError, match=r"^Run other is under way and has all cores: `make follow` attaches to it, "):
        start.start(CLUSTER, RunRequest())
    assert start.start(CLUSTER, RunRequest(run_id="other")) == "other"
    assert capsys.readouterr().out == "Run other is under way already.\n"
    assert bucket.objects == {}


def test_what_is_no_runs_name_reaches_no_host(hosts: FakeHosts, bucket: FakeBucket) -> None:
    with pytest.raises(InputError, match=r"^The run's name 'a/b' may hold letters, digits, "):
        start.start(CLUSTER, RunRequest(run_id="a/b"))
    assert hosts.commands == []


def test_a_job_of_the_person_s_own_is_no_run_that_goes_on(hosts: FakeHosts, bucket: FakeBucket) -> None:
    bucket.objects["jobs/mine/job.json"] = {}
    with pytest.raises(InputError, match=r"^mine is a job of your own, which `make submit` begins: choose another RUN"):
        start.start(CLUSTER, RunRequest(run_id="mine"))
    assert hosts.asked(CLUSTER.master) == ["list"]


@pytest.mark.parametrize(
    "forged",
    [
        {"size": "mini\n\n[Service]\nExecStopPost=+/bin/sh"},
        {"words": ["--images", "s3://evil"]},
        {"words": ["--master=local"]},
        {"words": None},
        {"price_per_hour": float("inf")},
        {"price_per_hour": 10**400},
        {"price_per_hour": "much"},
        {"expected_seconds": float("nan")},
    ],
)
def test_what_somebody_else_put_in_a_submissions_place_is_none(
    hosts: FakeHosts, bucket: FakeBucket, forged: dict[str, Any]
) -> None:
    begun(hosts, f"start r --description 'Orchard run, full' -- {WHERE} --run-id r --weights imagenet", "full", "", "r")
    bucket.objects["submissions/r.json"] |= forged
    bucket.objects["runs/r/inputs.parquet"] = None
    with pytest.raises(InputError, match=r"^Run r was not begun by `make run`"):
        start.start(CLUSTER, RunRequest(run_id="r"))
