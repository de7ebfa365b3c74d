"""Sending a person's own program: what the master is given, what the bucket keeps, and who is refused before."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.bucket import bucket_of
from scripts.errors import BusyError, ConfigurationError, HostError, InputError
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.hosts.ssh import Result
from scripts.jobs import requirements, submit
from scripts.jobs.requirements import Environment, Nodes
from scripts.jobs.submit import JobRequest
from scripts.money.prices import Price
from scripts.runs import own_job
from tests.doubles.fake_hosts import FACTS, ORCHARD_RUN, FakeHosts, cluster_of
from tests.unit.scripts.conftest import REGION

CLUSTER = cluster_of()
WHEELS = {"python": "3.11", "platform": "x86_64-manylinux_2_36"}
RUNNING = {"run_id": "other", "is_running": True, "code": None, "began_at": 1.0, "ended_at": None}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    fake = FakeHosts(CLUSTER)
    fake.answer_run(CLUSTER.master, "list", [])
    fake.answer(CLUSTER.master, FACTS, json.dumps({"wheels": WHEELS}))
    monkeypatch.setattr(submit, "Hosts", fake)
    monkeypatch.setattr(submit.prices, "of", lambda _: Price(0.9, "USD", "the table"))
    return fake


@pytest.fixture
def bucket(aws: Callable[[str], Any]) -> Callable[[], dict[str, bytes]]:
    """The cluster's bucket; gives its objects by their keys."""
    client = aws("s3")
    client.create_bucket(Bucket=CLUSTER.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def objects() -> dict[str, bytes]:
        listed = client.list_objects_v2(Bucket=CLUSTER.bucket).get("Contents", [])
        return {
            entry["Key"]: client.get_object(Bucket=CLUSTER.bucket, Key=entry["Key"])["Body"].read() for entry in listed
        }

    return objects


@pytest.fixture
def program(tmp_path: Path) -> str:
    file = tmp_path / "my count.py"
    file.write_text("print('counted')\n")
    return str(file)


def begin(hosts: FakeHosts, request: JobRequest, answer: Any = None) -> tuple[str, list[str]]:
    """Submit; gives the job's name and what the launcher is given."""
    started = [{}] if answer is None else [answer]
    run, given = hosts.run, []

    def answered(host: Any, command: str, **how: Any) -> Any:
        if "orchard-run start" in command:
            given.append(command.removeprefix(ORCHARD_RUN))
            hosts.answer(host, command, *[json.dumps(a) if isinstance(a, dict) else a for a in started])
        return run(host, command, **how)

    hosts.run = answered  # type: ignore[method-assign]
    name = submit.submit(CLUSTER, request)
    return name, given


def test_a_program_is_sent_with_its_hash_and_begun_as_a_person_s_own(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, [given] = begin(hosts, JobRequest(program, "--top '5 a'", name="mine"))
    objects = bucket()
    assert (name, set(objects)) == ("mine", {"jobs/mine/code.zip", "jobs/mine/job.json"})
    with zipfile.ZipFile(BytesIO(objects["jobs/mine/code.zip"])) as archive:
        assert archive.namelist() == ["my count.py"]
    digest = hashlib.sha256(objects["jobs/mine/code.zip"]).hexdigest()
    assert given == (
        f"start mine --own --description 'Own job, my count.py' -- '--main=my count.py' --code={digest} "
        "--price=0.900000 --currency=USD -- --top '5 a'"
    )
    [stored] = own_job.stored_jobs(bucket_of(CLUSTER), ["mine"])
    assert stored
    assert (stored.main, stored.words, stored.price_per_hour) == ("my count.py", ("--top", "5 a"), 0.9)
    assert capsys.readouterr().out == "Job mine (my count.py) has begun on the master.\n"


def test_a_name_is_made_of_the_program_s_and_the_time(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str
) -> None:
    name, _ = begin(hosts, JobRequest(program))
    assert name.startswith("my-count-2")
    assert submit.check_run_id(name) == name


def test_packages_are_sent_once_and_again_where_they_were_deleted(
    hosts: FakeHosts,
    bucket: Callable[[], dict[str, bytes]],
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "made.tar.gz").write_bytes(b"packages")
    environment = Environment(("juice==1.0",), tmp_path / "made.tar.gz", "d" * 64)
    asked: list[Nodes] = []
    monkeypatch.setattr(requirements, "build", lambda _, nodes: asked.append(nodes) or environment)
    _, [given] = begin(hosts, JobRequest(program, requirements="r.txt", name="one"))
    assert f" --environment={'d' * 64} " in given
    assert asked == [Nodes("3.11", "x86_64-manylinux_2_36")]
    assert bucket()[f"environments/{'d' * 64}.tar.gz"] == b"packages"
    assert "Job one (my count.py) with juice==1.0 has begun" in capsys.readouterr().out
    # Whoever has emptied the bucket's folder has it sent again.
    bucket_of(CLUSTER).delete([f"environments/{'d' * 64}.tar.gz"])
    begin(hosts, JobRequest(program, requirements="r.txt", name="two"))
    assert bucket()[f"environments/{'d' * 64}.tar.gz"] == b"packages"
    # It is there by its content: nobody needs the file again.
    (tmp_path / "made.tar.gz").unlink()
    begin(hosts, JobRequest(program, requirements="r.txt", name="three"))


def test_one_run_at_a_time(hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str) -> None:
    hosts.answer_run(CLUSTER.master, "list", [RUNNING])
    with pytest.raises(BusyError, match=r"^Run other is under way and has all cores: `make follow` attaches to it, "):
        submit.submit(CLUSTER, JobRequest(program))
    assert bucket() == {}


@pytest.mark.parametrize("taken", ["jobs/mine/output/part-0", "runs/mine/run.json"])
def test_what_an_earlier_job_or_run_has_made_is_kept(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str, taken: str
) -> None:
    bucket_of(CLUSTER).write_json(taken, {})
    with pytest.raises(InputError, match=r"^There is a job or a run mine already, and it is kept: give another NAME"):
        submit.submit(CLUSTER, JobRequest(program, name="mine"))
    assert set(bucket()) == {taken}


def test_what_cannot_be_is_refused_before_anything_is_sent(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str, tmp_path: Path
) -> None:
    Path(program).write_text("def f(:\n")
    with pytest.raises(InputError, match=r":1 is no program for Python 3\.11 \(invalid syntax\)"):
        submit.submit(CLUSTER, JobRequest(program))
    Path(program).write_text("")
    for request, why in (
        (JobRequest(program, requirements="none.txt"), "There is no file none.txt: REQUIREMENTS"),
        (JobRequest(program, name="a/b"), "The run's name 'a/b' may hold letters"),
        (JobRequest(program, arguments="'"), "ARGS cannot be split into words"),
        (JobRequest("none.py"), "There is no file none.py"),
    ):
        with pytest.raises(InputError, match=f"^{why}"):
            submit.submit(CLUSTER, request)
    assert bucket() == {}


def test_a_job_that_the_master_does_not_begin_leaves_nothing(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str
) -> None:
    refusal = Result(2, "", "orchard-run: The cluster is stopping (idle): wait until it has, `make start`, then again.")
    with pytest.raises(ConfigurationError, match="The cluster is stopping"):
        begin(hosts, JobRequest(program, name="mine"), refusal)
    assert bucket() == {}


def test_of_two_that_begin_in_the_same_minutes_the_later_is_told_so_and_leaves_nothing(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str
) -> None:
    sentence = "Run other is under way and has all cores: `make follow` attaches to it, `make stop-run` ends it."
    with pytest.raises(BusyError) as raised:
        begin(hosts, JobRequest(program, name="mine"), Result(8, "", f"orchard-run: {sentence}\n"))
    assert str(raised.value) == sentence
    assert bucket() == {}


LOST = HostError("master cannot be reached.")
BROKEN_OFF = [LOST, KeyboardInterrupt()]
MAY_HAVE_BEGUN = "It may have begun: `make follow RUN=mine` says so; else submit with another NAME."


def break_off(
    hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, program: str, error: BaseException, answer: Any
) -> list[str]:
    """Submit, have the start broken off, and the master answer so what it knows then; gives what is noted to it."""

    def start(*_: Any, **__: Any) -> None:
        hosts.answer_run(CLUSTER.master, "list", answer)
        raise type(error)(*error.args[:1])

    monkeypatch.setattr(submit.systemd_unit, "start", start)
    with pytest.raises(type(error)) as broken:
        submit.submit(CLUSTER, JobRequest(program, name="mine"))
    return getattr(broken.value, "__notes__", [])


@pytest.mark.parametrize("error", BROKEN_OFF)
@pytest.mark.parametrize("answer", [[RUNNING | {"run_id": "mine"}], LOST, KeyboardInterrupt()])
def test_a_job_that_may_have_begun_when_its_start_was_broken_off_keeps_its_code_and_says_so(
    hosts: FakeHosts,
    bucket: Callable[[], dict[str, bytes]],
    program: str,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    answer: Any,
) -> None:
    assert break_off(hosts, monkeypatch, program, error, answer) == [MAY_HAVE_BEGUN]
    assert set(bucket()) == {"jobs/mine/code.zip", "jobs/mine/job.json"}


@pytest.mark.parametrize("error", BROKEN_OFF)
def test_a_job_that_the_master_knows_nothing_of_when_its_start_was_broken_off_leaves_nothing(
    hosts: FakeHosts,
    bucket: Callable[[], dict[str, bytes]],
    program: str,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    assert break_off(hosts, monkeypatch, program, error, []) == []
    assert bucket() == {}


def test_what_breaks_off_on_its_way_to_the_bucket_leaves_nothing(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(own_job.OwnJob, "store", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submit.submit(CLUSTER, JobRequest(program, name="mine"))
    assert bucket() == {}


def test_a_master_of_an_earlier_orchard_names_the_next_step(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str
) -> None:
    hosts.answer(CLUSTER.master, FACTS, "{}")
    with pytest.raises(
        NotConfiguredError, match=r"^The master does not take people's own jobs yet: `make up` mends it"
    ):
        submit.submit(CLUSTER, JobRequest(program))


@pytest.mark.parametrize(
    "forged", [{"words": None}, {"price_per_hour": float("inf")}, {"price_per_hour": "much"}, {"requirements": 7}]
)
def test_what_somebody_else_put_in_a_job_s_place_is_none(
    hosts: FakeHosts, bucket: Callable[[], dict[str, bytes]], program: str, forged: dict[str, Any]
) -> None:
    name, _ = begin(hosts, JobRequest(program))
    [stored] = own_job.stored_jobs(bucket_of(CLUSTER), [name])
    assert stored
    replace(stored, **forged).store(bucket_of(CLUSTER))
    assert own_job.stored_jobs(bucket_of(CLUSTER), [name]) == [None]
