"""pipeline.transfer: upload and download by the command line, against a real server and one that misbehaves."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.storage.s3 import CHUNK_BYTES, S3Storage
from tests.doubles.s3.faulty import Fault, FaultyS3
from tests.doubles.s3.server import S3Server
from tests.pictures import NOT_LISTED, ODD

ROOT = Path(__file__).resolve().parents[2]
FILES = {f"Odd ones/{name}": data for name, data in ODD.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Odd names and contents, a file at the top, an empty one and an empty folder."""
    root = tmp_path / "pictures"
    (root / "empty folder").mkdir(parents=True)
    for name, data in {**FILES, "empty.jpg": b"", "read me.png": b"words"}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sent(proxy: FaultyS3) -> list[str]:
    """Keys of the objects that came since the proxy's list was cleared, but for the probe of the bucket."""
    came = (seen.key for seen in proxy.seen if (seen.operation, seen.status) == ("PUT", 200))
    return sorted(key for key in came if "write-check" not in key)


def refusal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    assert main([str(word) for word in words]) == code
    return capsys.readouterr().err.splitlines()[-1].removeprefix("orchard: ")


def test_what_goes_up_comes_down_the_same(pictures: S3Storage, folder: Path, tmp_path: Path) -> None:
    assert main(["upload", str(folder), pictures.uri]) == 0
    assert main(["download", pictures.uri, str(tmp_path / "back")]) == 0
    assert content(tmp_path / "back") == content(folder)


def test_the_summary_has_counts_bytes_and_seconds(
    pictures: S3Storage, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upload", str(folder), pictures.uri]) == 0
    printed, files = capsys.readouterr(), content(folder)
    assert re.fullmatch(
        rf"Uploaded {len(files)} of {len(files)} files \({sum(map(len, files.values())):,} bytes\) "
        rf"to {pictures.uri} in \d+\.\d s \(\d+ files/s\); 0 were there already\.\n",
        printed.out,
    )
    event = json.loads(printed.err.removeprefix("orchard: "))
    assert (event["event"], event["name"]) == ("phase", "copy")
    assert re.fullmatch(rf"Uploading {len(files)} files: \d+\.\d MB, \d+\.\d MB/s", event["text"])


def test_only_what_is_missing_or_different_is_uploaded(
    pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["upload", str(folder), pictures.uri])
    (folder / "new.jpg").write_bytes(b"new")
    (folder / "read me.png").write_bytes(b"WORDS")
    (folder / "empty.jpg").write_bytes(b"no longer")
    faulty_s3.seen.clear()
    capsys.readouterr()
    assert main(["upload", str(folder), pictures.uri]) == 0
    assert sent(faulty_s3) == ["pictures/empty.jpg", "pictures/new.jpg", "pictures/read me.png"]
    assert capsys.readouterr().out.startswith(f"Uploaded 3 of {len(content(folder))} files (17 bytes) to ")


def test_only_what_is_missing_or_different_is_downloaded(
    pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, tmp_path: Path
) -> None:
    main(["upload", str(folder), pictures.uri])
    main(["download", pictures.uri, str(tmp_path / "back")])
    (tmp_path / "back" / "Odd ones" / "grey.jpg").unlink()
    (tmp_path / "back" / "read me.png").write_bytes(b"WORDS")
    (tmp_path / "back" / "mine.jpg").write_bytes(b"not in the bucket")
    faulty_s3.seen.clear()
    assert main(["download", pictures.uri, str(tmp_path / "back")]) == 0
    got = sorted(seen.key for seen in faulty_s3.seen if seen.operation == "GET")
    assert got == ["pictures/Odd ones/grey.jpg", "pictures/read me.png"]
    assert content(tmp_path / "back") == {**content(folder), "mine.jpg": b"not in the bucket"}


def test_a_large_file_is_known_again_though_its_etag_is_no_md5(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path
) -> None:
    shards = tmp_path / "up" / "shards"
    shards.mkdir(parents=True)
    (shards / "part-00000.parquet").write_bytes(os.urandom(CHUNK_BYTES + 1000))
    main(["upload", str(tmp_path / "up"), pictures.uri])
    main(["download", pictures.uri, str(tmp_path / "down")])
    assert content(tmp_path / "down") == content(tmp_path / "up")
    faulty_s3.seen.clear()
    main(["upload", str(tmp_path / "up"), pictures.uri])
    main(["download", pictures.uri, str(tmp_path / "down")])
    assert (faulty_s3.count("PART"), faulty_s3.count("GET")) == (0, 0)
    with (shards / "part-00000.parquet").open("r+b") as file:
        file.write(b"other")
    main(["upload", str(tmp_path / "up"), pictures.uri])
    main(["download", pictures.uri, str(tmp_path / "down")])
    assert content(tmp_path / "down") == content(tmp_path / "up")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("1.jpg", "image/jpeg"),
        ("2.PNG", "image/png"),
        ("3.webp", "image/webp"),
        ("4.avif", "image/avif"),
        ("shards/part-00000.parquet", "application/vnd.apache.parquet"),
    ],
)
def test_content_types_are_set(pictures: S3Storage, s3_server: S3Server, tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "up" / name).parent.mkdir(parents=True)
    (tmp_path / "up" / name).write_bytes(b"data")
    main(["upload", str(tmp_path / "up"), pictures.uri])
    head = s3_server.client().head_object(Bucket=pictures.bucket, Key=f"pictures/{name}")
    assert head["ContentType"] == kind


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_that_was_stopped_and_is_started_again_sends_only_the_rest(
    pictures: S3Storage, faulty_s3: FaultyS3, tmp_path: Path, number: signal.Signals
) -> None:
    for name in [f"{when}-{n:02d}.jpg" for when in ("early", "late") for n in range(60)]:
        (tmp_path / name).write_bytes(name.encode())
    words = [sys.executable, "-m", "pipeline", "upload", tmp_path, pictures.uri]
    with faulty_s3.gate("PUT", "late"):
        process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        faulty_s3.wait_until(lambda: faulty_s3.count("PUT", "early") == 60, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert said.splitlines()[-1] == (
            "orchard: Interrupted; what was copied is kept. Start the same command again for the rest."
        )
    faulty_s3.seen.clear()
    assert main(["upload", str(tmp_path), pictures.uri]) == 0
    assert sent(faulty_s3) == [f"pictures/late-{number:02d}.jpg" for number in range(60)]


def test_a_busy_server_is_borne_with(pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, tmp_path: Path) -> None:
    with faulty_s3.spoiling(Fault("status", "PUT", "Odd", times=20), Fault("half", "PUT", "read me")):
        assert main(["upload", str(folder), pictures.uri]) == 0
    with faulty_s3.spoiling(Fault("status", key="Odd", times=20), Fault("reset", key="read me")):
        assert main(["download", pictures.uri, str(tmp_path / "back")]) == 0
    assert content(tmp_path / "back") == content(folder)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_sent(
    pictures: S3Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.jpg", "2.jpg", "\udcff.jpg"):
        (tmp_path / name).write_bytes(b"data")
    assert refusal(capsys, "upload", tmp_path, pictures.uri, code=22) == (
        r"1 of 3 files could not be copied (\udcff.jpg: a name with a backslash or a zero byte in it is no file's); "
        "mend them and start the same command again: it sends only these."
    )
    assert sorted(key for key, _, _ in pictures.list_objects()) == ["1.jpg", "2.jpg"]


def test_an_object_that_is_forbidden_is_named_and_the_others_come(
    pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["upload", str(folder), pictures.uri])
    with faulty_s3.spoiling(Fault("status", key="read me", status=403, code="AccessDenied")):
        said = refusal(capsys, "download", pictures.uri, tmp_path / "back", code=22)
    assert "(read me.png: access denied by the bucket)" in said
    assert set(content(folder)) - set(content(tmp_path / "back")) == {"read me.png"}


def test_a_key_cannot_lead_out_of_the_folder(
    pictures: S3Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        S3Storage, "list_objects", lambda _: iter([("../out.jpg", 4, ""), ("a//b.jpg", 4, ""), ("fine.jpg", 4, "")])
    )
    monkeypatch.setattr(S3Storage, "read", lambda *_: b"data")
    said = refusal(capsys, "download", pictures.uri, tmp_path / "back", code=1)
    assert said == (
        "2 of 3 objects were refused, for their names lead out of the folder ('../out.jpg', 'a//b.jpg'); the others "
        "are there. Find out who wrote these: nobody names a file so by accident."
    )
    assert content(tmp_path) == {"back/fine.jpg": b"data"}


@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_down_ends_the_copy_with_5(
    pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty_s3.spoiling(Fault("status", operation="PUT", key="pictures/Odd", times=10_000)):
        said = refusal(capsys, "upload", folder, pictures.uri, code=22)
    assert said.startswith(f"{pictures.uri}/Odd ones/")
    assert "S3 did not answer well in 8 attempts" in said
    assert said.endswith("start the same command again later (a run goes on with --resume).")


@pytest.mark.usefixtures("hasty")
def test_one_object_that_the_server_never_takes_keeps_the_others_from_nothing(
    pictures: S3Storage, folder: Path, faulty_s3: FaultyS3, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty_s3.spoiling(Fault("status", operation="PUT", key="grey.jpg", times=10_000)):
        said = refusal(capsys, "upload", folder, pictures.uri, code=22)
    assert said.startswith(
        f"1 of {len(content(folder))} files could not be copied (Odd ones/grey.jpg: S3 did not answer "
    )
    assert {key for key, _, _ in pictures.list_objects()} == content(folder).keys() - {"Odd ones/grey.jpg"}


def test_only_pictures_and_packs_are_uploaded_and_the_rest_is_counted(
    pictures: S3Storage, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "id_rsa").write_bytes(b"secret")
    for name, data in {**NOT_LISTED, "pack-index.parquet": b"index", "shards/part-00000.parquet": b"shard"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "key.jpg").symlink_to(tmp_path / "id_rsa")
    (folder / "shards" / "table.parquet").write_bytes(b"somebody's")
    assert main(["upload", str(folder), pictures.uri]) == 0
    kept = {*NOT_LISTED, "key.jpg", "shards/table.parquet"}
    assert {key for key, _, _ in pictures.list_objects()} == content(folder).keys() - kept
    notes = [json.loads(line.removeprefix("orchard: ")) for line in capsys.readouterr().err.splitlines()]
    assert [note["text"] for note in notes if note["event"] == "note"] == [
        "Left out 1 that are no files of it, but links that lead out of the folder, devices or pipes (key.jpg).",
        "Left 5 files that are no pictures (.DS_Store, ._grey.jpg, jpg, notes.txt, shards/table.parquet).",
    ]


def test_ends_that_cannot_be_are_refused(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: object) -> str:
        return refusal(capsys, *words)

    assert said("upload", f"s3://{bucket}/a", f"s3://{bucket}/b") == (
        f"s3://{bucket}/a is no folder of this machine; write upload FOLDER s3://BUCKET/PREFIX."
    )
    assert said("upload", tmp_path, tmp_path) == (
        f"{tmp_path} is no address in S3; write upload FOLDER s3://BUCKET/PREFIX."
    )
    assert said("download", tmp_path, f"s3://{bucket}") == (
        f"s3://{bucket} is no folder of this machine; write download s3://BUCKET/PREFIX FOLDER."
    )
    assert said("upload", tmp_path / "nowhere", f"s3://{bucket}/b") == (
        f"{tmp_path}/nowhere is not a folder; give the folder that holds the pictures."
    )
    assert said("upload", tmp_path, f"s3://{bucket}/b") == (
        f"{tmp_path} holds no picture; give the folder whose pictures are to be uploaded."
    )
    assert said("download", f"s3://{bucket}/nothing", tmp_path) == (
        f"There is no object below s3://{bucket}/nothing; check the prefix."
    )
    assert said("download", "s3://not-there/a", tmp_path) == (
        "The bucket not-there cannot be used: there is no such bucket; check the name."
    )
    (tmp_path / "file.jpg").write_bytes(b"data")
    assert said("upload", tmp_path, "s3://not-there/a") == (
        "The bucket not-there cannot be written: there is no such bucket; check the name."
    )
