"""`make notebooks`: the newest of them where a cluster is up, and never over what somebody has here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from scripts import tfvars
from scripts.aws import pipeline
from scripts.aws.bucket import Bucket
from scripts.errors import HostError, NoClusterError
from scripts.hosts import kept_files
from scripts.hosts.orchard_run import NotConfiguredError
from scripts.kept import notebooks, place
from tests.doubles.fake_hosts import cluster_of
from tests.unit.scripts.conftest import REGION

Aws = Callable[[str], Any]


@pytest.fixture(autouse=True)
def bucket(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and no cluster."""
    aws("s3").create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setattr(place, "cluster_at_work", lambda: None)
    monkeypatch.setattr(place, "bucket", lambda _: Bucket("kept", REGION))
    monkeypatch.setattr(tfvars, "read", lambda: {"cluster_name": "fruits"})
    return Bucket("kept", REGION)


@pytest.fixture
def handed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words of the job's own commands, where there is a notebook."""
    aws("s3").put_object(Bucket="kept", Key="notebooks/mine.ipynb", Body=b"{}")
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(pipeline, "run", lambda _, *words: given.append(words) or 0)
    return given


def test_they_come_to_a_folder_of_their_own(
    handed: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebooks.fetch(str(tmp_path))
    [words] = handed
    assert words[:2] == ("download", "s3://kept/notebooks/")
    assert Path(words[2]).parent == tmp_path
    assert Path(words[2]).name.startswith("fruits-20")
    assert capsys.readouterr().out == f"Notebooks: {words[2]}\n"


def test_with_a_cluster_the_master_puts_its_newest_first(
    handed: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(place, "cluster_at_work", cluster_of)
    monkeypatch.setattr(kept_files, "put_now", lambda cluster: asked.append(cluster.name))
    notebooks.fetch(str(tmp_path))
    assert asked == ["fruits"]

    def deaf(_: object) -> None:
        raise HostError("master cannot be reached.", "no answer")

    monkeypatch.setattr(kept_files, "put_now", deaf)
    notebooks.fetch(str(tmp_path))
    assert len(handed) == 2
    assert capsys.readouterr().err == "What was changed last may be missing (no answer).\n"


def test_nobody_says_that_none_was_changed_where_the_master_could_not_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_an_earlier_orchard(_: object) -> None:
        raise NotConfiguredError("The master does not keep notebooks and event logs yet: `make up` mends it.")

    monkeypatch.setattr(place, "cluster_at_work", cluster_of)
    monkeypatch.setattr(kept_files, "put_now", of_an_earlier_orchard)
    with pytest.raises(NotConfiguredError, match="`make up` mends it"):
        notebooks.fetch(str(tmp_path))
    assert capsys.readouterr().err == ""


def test_where_none_was_changed_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoClusterError, match=r"^No notebook was changed yet: s3://kept/notebooks/ is empty\.$"):
        notebooks.fetch(str(tmp_path))


def test_the_download_s_own_code_is_handed_on(
    handed: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "run", lambda *_: 22)
    with pytest.raises(Exit) as ended:
        notebooks.fetch(str(tmp_path))
    assert ended.value.code == 22
