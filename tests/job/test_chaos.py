"""Chaos without hosts: S3 alone fails, and a run here that is gone on with as a person would has lost nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from pipeline.pictures.demo_pictures import FRUITS, draw_pictures
from tests.doubles.aws.double import AwsDouble
from tests.job.conftest import JAVA_OPTIONS, ROOT
from tests.sandbox.chaos import invariant
from tests.sandbox.chaos.hands import Hands
from tests.sandbox.chaos.schedule import Blow
from tests.sandbox.chaos.trial import Trial

BUCKET, CALM, STORMY = "chaos", "calm", "stormy"
PER_CLASS = 12  # 144 pictures, five parts
WORDS = ("--weights", "random", "--image-size", "64", "--components", "5", "--master", "local[2,1]", "--no-report")
WHOLE = 'print(\'{"workers": 1, "workers_alive": 1}\')'
SURELY = "1"


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    """A person whose cluster is this machine, and whose S3 is a double's."""
    with AwsDouble() as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
        draw_pictures(tmp_path / "pictures", PER_CLASS)
        for file in (tmp_path / "pictures").rglob("*.jpg"):
            s3.upload_file(str(file), BUCKET, f"pictures/{file.parent.name}/{file.name}")
        environment = os.environ | JAVA_OPTIONS | aws.environment() | {"AWS_ALLOW_HTTP": "true"}

        def begin(words: Sequence[str], output: IO[str]) -> subprocess.Popen[Any]:
            command = [sys.executable, "-c", WHOLE]
            if words[0] == "run":
                name = words[1].removeprefix("--run=")
                command = [sys.executable, "-m", "pipeline", "run", "--images", f"s3://{BUCKET}/pictures"]
                command += ["--output", f"s3://{BUCKET}/runs", "--run-id", name, *WORDS]
                command += ["--resume"] if made.written(name) else []
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

        cloud: Any = SimpleNamespace(aws=aws)
        made = Hands(cloud, BUCKET, begin, environment, tmp_path / "chaos.log")
        yield made


def test_a_run_whose_s3_fails_is_gone_on_with_and_loses_nothing(hands: Hands) -> None:
    hands.must("run", f"--run={CALM}")
    assert len(hands.written(CALM)) == -(-PER_CLASS * len(FRUITS) // 32)
    said: list[str] = []
    blows = [Blow(("s3-errors", SURELY), 2, 600), Blow(("s3-slow", "0.2"), 3, 5)]
    struck = Trial(hands, STORMY, [], blows, said.append).endure()
    assert [one.blow for one in struck] == blows
    assert f"  {STORMY} ended with exit code 22 and is gone on with" in said
    calm = invariant.outcome(hands, CALM)
    assert invariant.differences(invariant.outcome(hands, STORMY), calm) == []
    assert invariant.not_whole(hands, STORMY) == []
    # What is lost is seen.
    hands.cloud.aws.client("s3").delete_object(Bucket=BUCKET, Key=hands.written(STORMY)[0])
    assert invariant.differences(invariant.outcome(hands, STORMY), calm)
    assert invariant.not_whole(hands, STORMY)
