"""pipeline.cli: what is refused before Spark starts, word for word."""

import errno
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.cli import main
from pipeline.job.request import RunRequest
from pipeline.settings import RunOptions, RunSettings


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence on stderr of a command that must end with exit code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    *events, sentence = said.splitlines()
    assert all(line.startswith("orchard: {") for line in events)
    return sentence.removeprefix("orchard: ")


def run(images: object, output: object, *more: object) -> tuple[object, ...]:
    return ("run", "--images", images, "--output", output, "--weights", "random", *more)


def test_a_missing_images_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = tmp_path / "nowhere"
    expected = f"{nowhere} is not a folder; give the folder that holds the pictures."
    assert refusal(capsys, *run(nowhere, tmp_path / "runs")) == expected


def test_a_folder_with_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    assert refusal(capsys, *run(tmp_path, tmp_path / "runs")).startswith(
        f"No picture below {tmp_path}; a picture's name"
    )


def test_fewer_pictures_than_components(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, *run(images, tmp_path / "runs"))
    assert said == "3 pictures cannot have 200 components; give more pictures or --components 3."


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--engine", "caffe", "Argument --engine: invalid choice: 'caffe'"),
        ("--components", "0", "Argument --components: give a whole number from 1 to 1280, not 0"),
        ("--components", "many", "Argument --components: invalid whole number value: 'many'"),
        ("--variance", "95", "Argument --variance: give a share from 0 to 1, not 95"),
        ("--image-size", "8", "Argument --image-size: give a whole number from 32 to 1024, not 8"),
        ("--fetches", "65", "Argument --fetches: give a whole number from 1 to 64, not 65"),
        ("--run-id", "../up", "The run id '../up' may hold letters, digits, '.', '_' and '-' only."),
        ("--weights", "nowhere.h5", "The weights file nowhere.h5 cannot be read (No such file or directory)"),
        ("--master", "spark://10.0.0.1:7077", "--images "),
    ],
)
def test_a_wrong_option(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    assert refusal(capsys, *run(images, tmp_path / "runs", option, value)).startswith(said)


def test_a_local_folder_with_a_master_on_other_machines(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, *run(images, tmp_path / "runs", "--master", "spark://10.0.0.1:7077"))
    assert said.endswith(
        "is a folder of this machine, which the workers of spark://10.0.0.1:7077 do not see; "
        "upload it and give an s3:// address."
    )


def test_bf16_with_the_reference_engine(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, *run(images, tmp_path / "runs", "--engine", "tensorflow", "--precision", "bf16"))
    assert said == "--precision bf16 is OpenVINO's; leave out --engine tensorflow."


def test_an_output_that_is_a_file(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").write_text("")
    said = refusal(capsys, *run(images, tmp_path / "runs"))
    assert "cannot be written" in said
    assert said.endswith("name another folder.")


def test_a_run_id_that_exists(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "inputs.parquet").write_bytes(b"x")
    said = refusal(capsys, *run(images, tmp_path / "runs", "--run-id", "mine"))
    assert said == (f"A run mine exists in {tmp_path / 'runs'}; go on with it by --resume or choose another --run-id.")


def test_resuming_nothing(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, *run(images, tmp_path / "runs", "--resume")) == (
        "--resume needs the run's name; give it with --run-id."
    )
    assert refusal(capsys, *run(images, tmp_path / "runs", "--run-id", "mine", "--resume")) == (
        f"There is no run mine in {tmp_path / 'runs'} to resume; leave out --resume to begin it."
    )


def test_report_and_check_of_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no complete run" in refusal(capsys, "report", tmp_path)
    assert refusal(capsys, "check", tmp_path) == (
        f"{tmp_path} holds no ended run; give the folder that run.json lies in."
    )


def test_what_nobody_has_thought_of_is_a_fault_of_orchard_s_own(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def surprise(*_: object) -> None:
        raise ZeroDivisionError("a surprise.\nAnd more")

    monkeypatch.setattr("pipeline.cli.run", surprise)
    assert main([str(word) for word in run(images, tmp_path / "runs")]) == 1
    sentence, *rest = capsys.readouterr().err.splitlines()
    assert sentence == (
        "orchard: ZeroDivisionError: a surprise. And more; this is a fault of Orchard's own: report the lines below."
    )
    assert rest[0].startswith("Traceback")


def test_the_command_line_s_defaults_are_those_of_the_settings(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(monkeypatch, *run(images, tmp_path))
    assert asked.settings == RunSettings(str(images), asked.weights.sha256)
    assert asked.options == RunOptions()


def test_a_share_of_the_variance_takes_the_place_of_a_number_of_components(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(monkeypatch, *run(images, tmp_path, "--variance", "0.9"))
    assert (asked.settings.components, asked.settings.variance) == (None, 0.9)
    assert main([str(word) for word in run(images, tmp_path, "--variance", "0.9", "--components", "200")]) == 2


def requests(monkeypatch: pytest.MonkeyPatch, *words: object) -> RunRequest:
    """What the words ask of a run, which does not take place."""
    asked: list[RunRequest] = []

    def interrupted(request: RunRequest, _: object) -> None:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cli.run", interrupted)
    assert main([str(word) for word in words]) == 130
    return asked[0]


def test_a_class_whose_name_a_terminal_would_obey_is_shown_as_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a\x1b]0;owned\x07", "b\r[bold]", "c\u202egpj"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "0.jpg").write_bytes(b"x")
    said = refusal(capsys, *run(tmp_path / "pictures", tmp_path / "runs", "--classes", "none"))
    assert said == (
        "No class matches none; the classes here are a\\x1b]0;owned\\x07, b\\x0d[bold], c\\u202egpj (3 in all)."
    )


def test_a_fault_of_our_own_shows_what_it_quotes_harmless_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> int:
        raise RuntimeError("\x1b[2Jgone")

    monkeypatch.setitem(cli.COMMANDS, "check", fails)
    assert cli.main(["check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "RuntimeError: \\x1b[2Jgone" in said
    assert "Traceback" in said
    assert "\x1b" not in said


def test_a_full_disk_is_no_fault_of_orchard_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/spark")

    monkeypatch.setitem(cli.COMMANDS, "check", full)
    assert main(["check", str(tmp_path)]) == 22
    assert capsys.readouterr().err == (
        "orchard: /tmp/spark: the disk is full; make room and start the same command again "
        "(a run goes on with --resume).\n"
    )
