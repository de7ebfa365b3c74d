"""pipeline.cli: what is refused of S3 before Spark starts, with bucket and cause, word for word."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.storage.s3 import S3Storage
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.doubles.s3.server import REGION, S3Server
from tests.s3.conftest import Lead

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Spark, or preparing a network for it, fails the test."""

    def started(*_: object) -> None:
        pytest.fail("the command went on to Spark")

    monkeypatch.setattr("pipeline.job.phases.jvm_ahead", lambda *_: nullcontext())
    monkeypatch.setattr("pipeline.job.phases.spark_context", started)
    monkeypatch.setattr("pipeline.job.phases.prepare_network", started)


def refusal(capsys: pytest.CaptureFixture[str], images: object, output: object, *more: object) -> str:
    """The one sentence on stderr of a run that must end with exit code 2."""
    words = ("run", "--images", images, "--output", output, "--weights", "random", "--components", 2, *more)
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said.removeprefix("orchard: ").strip()


def test_a_bucket_that_does_not_exist(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "The bucket not-there cannot be used: there is no such bucket; check the name."
    assert refusal(capsys, "s3://not-there/pictures", tmp_path) == said


def test_an_output_bucket_that_does_not_exist(bucket: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "The bucket not-there cannot be written: there is no such bucket; check the name."
    assert refusal(capsys, images, "s3://not-there/runs") == said


def test_a_name_that_no_bucket_can_have(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "The bucket my fruit cannot be used: no bucket can have that name; check it."
    assert refusal(capsys, "s3://my fruit/pictures", tmp_path) == said


def test_a_bucket_that_denies_access(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = [Fault("status", operation, status=403, code="AccessDenied", times=9) for operation in ("HEAD", "LIST")]
    with faulty_s3.spoiling(*denied):
        assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
            f"The bucket {bucket} cannot be used: access is denied; check that these credentials may use it."
        )


def test_a_bucket_that_may_be_listed_but_not_written(
    bucket: str, faulty_s3: FaultyS3, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty_s3.spoiling(Fault("status", "PUT", status=403, code="AccessDenied", times=9)):
        assert refusal(capsys, images, f"s3://{bucket}/runs") == (
            f"The bucket {bucket} cannot be written: access is denied; check that these credentials may use it."
        )


def test_a_region_that_is_not_the_bucket_s(
    s3_server: S3Server, lead: Lead, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyS3(s3_server, bucket_region=REGION) as elsewhere, s3_server.bucket() as bucket:
        lead({**elsewhere.environment(), "AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-2"})
        assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
            f"The bucket {bucket} lies in {REGION}, not in us-west-2; set AWS_REGION={REGION}."
        )


def test_no_credentials(
    bucket: str, lead: Lead, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    lead({})
    said = (
        f"The bucket {bucket} cannot be used: there are no AWS credentials here; set AWS_PROFILE or run aws configure."
    )
    assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == said
    assert main(["check", f"s3://{bucket}/runs/mine"]) == 2
    assert capsys.readouterr().err == (
        f"orchard: s3://{bucket}/runs/mine/run.json cannot be reached: "
        "there are no AWS credentials here; set AWS_PROFILE or run aws configure.\n"
    )


def test_a_key_that_nobody_knows_and_a_secret_that_is_wrong(
    bucket: str, lead: Lead, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lead({"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
        f"The bucket {bucket} cannot be used: the secret key is wrong; "
        "check AWS_PROFILE or the keys in the environment."
    )
    lead({"AWS_ACCESS_KEY_ID": "AKIANOBODY"})
    assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
        f"The bucket {bucket} cannot be used: the access key is not known there; "
        "check AWS_PROFILE or the keys in the environment."
    )


def test_a_profile_that_does_not_exist(
    bucket: str, lead: Lead, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lead({"AWS_PROFILE": "nobody"})
    assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
        f"The bucket {bucket} cannot be used: The config profile (nobody) could not be found; "
        "check AWS_PROFILE and AWS's configuration files."
    )


def test_an_endpoint_that_is_no_address(
    bucket: str, lead: Lead, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lead({"AWS_ENDPOINT_URL_S3": "localhost:9000"})
    assert refusal(capsys, f"s3://{bucket}/pictures", tmp_path) == (
        f"The bucket {bucket} cannot be used: Invalid endpoint: localhost:9000; check AWS_ENDPOINT_URL and the network."
    )


def test_a_prefix_without_pictures(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    S3Storage.at(f"s3://{bucket}/pictures").write("notes.txt", b"no picture")
    assert f"No picture below s3://{bucket}/pictures; a picture's name" in refusal(
        capsys, f"s3://{bucket}/pictures", tmp_path
    )


def test_a_run_id_that_exists_and_one_that_does_not(
    bucket: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = f"s3://{bucket}/runs"
    S3Storage.at(f"{runs}/mine").write("inputs.parquet", b"a list")
    assert refusal(capsys, images, runs, "--run-id", "mine") == (
        f"A run mine exists in {runs}; go on with it by --resume or choose another --run-id."
    )
    assert refusal(capsys, images, runs, "--run-id", "min", "--resume") == (
        f"There is no run min in {runs} to resume; leave out --resume to begin it."
    )


def test_report_and_check_of_a_prefix_that_is_no_run(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("report", "check"):
        assert main([command, f"s3://{bucket}/runs/mine"]) == 2
        assert "give the folder that run.json lies in." in capsys.readouterr().err
    assert main(["check", "s3://not-there/runs/mine"]) == 2


@pytest.mark.parametrize("option", ["--images", "--output"])
def test_a_local_folder_with_a_master_on_other_machines(
    bucket: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    places = {"--images": f"s3://{bucket}/pictures", "--output": f"s3://{bucket}/runs", option: images}
    assert refusal(capsys, *places.values(), "--master", "spark://10.0.0.1:7077") == (
        f"{option} {images} is a folder of this machine, which the workers of spark://10.0.0.1:7077 do not see; "
        "upload it and give an s3:// address."
    )
