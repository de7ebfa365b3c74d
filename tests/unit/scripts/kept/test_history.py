"""`make history`: by the master where one runs, else by the bucket alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from scripts import tfvars
from scripts.aws import pipeline
from scripts.aws.bucket import Bucket
from scripts.cluster import Cluster
from scripts.errors import InputError, NoClusterError
from scripts.hosts import tunnels
from scripts.kept import history, place
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]
NAME = "orchard-fruits-1-eu-west-1"
OLD, NEW = "app-20260101120000-0000", "app-20260102120000-0003"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a cluster `fruits`, and no cluster."""
    for name in ("variables.tf", "terraform.tfvars"):
        source = tfvars.CHECKOUT / "terraform" / name
        (tmp_path / name).write_text(source.read_text() if source.suffix == ".tf" else 'cluster_name = "fruits"\n')
    monkeypatch.setenv("ORCHARD_TERRAFORM", str(tmp_path))
    monkeypatch.setattr(place, "cluster_at_work", lambda: None)
    monkeypatch.setattr(tfvars, "setting", lambda _: REGION)


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    """The bucket that the cluster has left, beside one of another region and one of another cluster."""
    for name, cluster in (("orchard-fruits-1-ap-south-1", "fruits"), (NAME, "fruits"), ("orchard-fruits-x-1", "x")):
        aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        tags = [{"Key": "Project", "Value": "orchard"}, {"Key": "Cluster", "Value": cluster}]
        aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return Bucket(NAME, REGION)


@pytest.fixture
def put(aws: Aws, bucket: Bucket) -> Callable[..., None]:
    """Put empty objects."""
    return lambda *keys: [aws("s3").put_object(Bucket=bucket.name, Key=key, Body=b"") for key in keys]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words of the job's own commands."""
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(pipeline, "run", lambda _, *words: given.append(words) or 0)
    return given


def test_without_a_cluster_all_logs_of_the_bucket_are_shown_here(
    put: Callable[..., None], handed: list[tuple[str, ...]]
) -> None:
    put(f"events/eventlog_v2_{NEW}/appstatus_{NEW}", "runs/mine/run.json")
    history.show("", "")
    assert handed == [("history", f"s3://{NAME}/events")]


def test_a_run_s_logs_are_found_by_its_name_each_attempt_s(
    put: Callable[..., None], handed: list[tuple[str, ...]]
) -> None:
    put(f"events/names/orchard%20mine/{NEW}", f"events/names/orchard%20mine/{OLD}", "events/names/mine/local-7")
    put(f"events/names/orchard%20mine2/{OLD}", "events/names/mine/../x", "events/names/mine/a b")
    history.show("mine", "4000")
    [words] = handed
    logs = [f"s3://{NAME}/events/eventlog_v2_{application}" for application in (OLD, NEW, "local-7")]
    assert words == ("history", *logs, "--port", "4000")


def test_of_very_many_the_latest_are_fetched(
    put: Callable[..., None],
    handed: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(history, "MOST_LOGS", 2)
    put(*(f"events/eventlog_v2_app-2026010{day}/appstatus" for day in (3, 1, 2)))
    history.show("", "")
    assert [word.rpartition("_")[2] for word in handed[0][1:]] == ["app-20260102", "app-20260103"]
    assert capsys.readouterr().out == "These are the latest 2 of 3 jobs: RUN=name shows an older one.\n"


def test_what_is_not_there_is_said_in_one_sentence(bucket: Bucket) -> None:
    with pytest.raises(
        NoClusterError, match=rf"^No event log is in s3://{NAME}/events yet: `make run` begins a run\.$"
    ):
        history.show("", "")
    with pytest.raises(NoClusterError, match=rf"^No event log of no\[w\] is in s3://{NAME}/events: `make history` "):
        history.show("no[w]", "")
    with pytest.raises(InputError, match=r"^RUN holds characters that no name has"):
        history.show("no\x1bw", "")


def test_without_a_bucket_it_says_what_makes_one(aws: Aws) -> None:
    with pytest.raises(
        NoClusterError, match=r"^No cluster fruits has left a bucket in eu-west-1: `make up` makes both\.$"
    ):
        history.show("", "")


def test_the_job_s_own_code_is_handed_on(put: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"events/eventlog_v2_{NEW}/appstatus_{NEW}")
    monkeypatch.setattr(pipeline, "run", lambda *_: 2)
    with pytest.raises(Exit) as ended:
        history.show("", "")
    assert ended.value.code == 2


def test_with_a_cluster_the_master_shows_what_it_has_and_this_machine_what_is_of_an_earlier_one(
    put: Callable[..., None], monkeypatch: pytest.MonkeyPatch, handed: list[tuple[str, ...]]
) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(place, "cluster_at_work", cluster_of)
    monkeypatch.setattr(place, "bucket_of", lambda _: Bucket(NAME, REGION))

    def show(_: Cluster, port: str, application: str) -> bool:
        shown.append((port, application))
        return application in ("", NEW)

    monkeypatch.setattr(tunnels, "history", show)
    put(f"events/names/orchard%20mine/{NEW}", f"events/names/orchard%20mine/{OLD}", f"events/names/old/{OLD}")
    history.show("", "18080")
    history.show("mine", "")
    assert (shown, handed) == ([("18080", ""), ("", NEW)], [])
    history.show("old", "")
    assert shown[-1] == ("", OLD)
    assert handed[0] == ("history", f"s3://{NAME}/events/eventlog_v2_{OLD}")
