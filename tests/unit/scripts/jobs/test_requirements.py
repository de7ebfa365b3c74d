"""What a program requires: resolved by the real uv, from wheels in a folder here, for the nodes alone."""

import base64
import hashlib
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts.errors import InputError
from scripts.jobs import requirements
from scripts.jobs.requirements import Nodes

NODES = Nodes("3.11", "x86_64-manylinux_2_36")


def wheel(folder: Path, name: str, version: str = "1.0", tag: str = "py3-none-any", requires: str = "") -> None:
    """A package of one module of its name."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{file},sha256={digest(content)},{len(content)}\n" for file, content in files.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for file, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, content)


def digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, all that uv knows of; the cluster has `fruit` 1.0."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        wheel(folder, "fruit", version)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    lock = tmp_path / "nodes.txt"
    lock.write_text(
        "fruit==1.0 \\\n    --hash=sha256:00\nwin==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    monkeypatch.setattr(requirements, "LOCK", lock)
    monkeypatch.setattr(requirements, "KEPT", tmp_path / "kept")
    return folder


def asked(wheels: Path, lines: str) -> str:
    file = wheels.parent / "requirements.txt"
    file.write_text(lines)
    return str(file)


def members(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        return {entry.name: tar.extractfile(entry).read().decode() for entry in tar}  # type: ignore[union-attr]


def refused(wheels: Path, lines: str) -> str:
    with pytest.raises(InputError) as refusal:
        requirements.build(asked(wheels, lines), NODES)
    return str(refusal.value)


def test_what_the_cluster_does_not_have_is_packed_and_what_it_has_stays_as_it_is_locked(wheels: Path) -> None:
    wheel(wheels, "juice", requires="fruit")
    made = requirements.build(asked(wheels, "juice\nfruit\n"), NODES)
    assert made
    assert made.packages == ("juice==1.0",)
    packed = members(made.archive)
    assert packed["juice.py"] == "VERSION = '1.0'\n"
    assert not any(name.startswith(("fruit", "bin/", ".lock")) for name in packed)
    assert made.digest == hashlib.sha256(made.archive.read_bytes()).hexdigest()


def test_it_is_built_once_and_the_same_packages_make_the_same_archive(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "juice")
    first = requirements.build(asked(wheels, "juice"), NODES)
    assert first
    made, install = first.archive.read_bytes(), requirements._install
    monkeypatch.setattr(requirements, "_install", lambda *_: pytest.fail("built again"))
    assert requirements.build(asked(wheels, "juice"), NODES) == first
    monkeypatch.setattr(requirements, "_install", install)
    first.archive.unlink()
    again = requirements.build(asked(wheels, "juice"), NODES)
    assert again
    assert again.archive.read_bytes() == made


def test_where_the_cluster_has_all_of_it_nothing_is_made(wheels: Path) -> None:
    assert requirements.build(asked(wheels, "fruit>=1\n"), NODES) is None


def test_a_wheel_by_its_address_or_path_is_packed_and_called_by_its_file_alone(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(wheels.parent)
    elsewhere = wheels.parent / "else where"
    elsewhere.mkdir()
    for name in ("peel", "pulp", "seed"):
        wheel(elsewhere, name)
    lines = f"peel @ {(elsewhere / 'peel-1.0-py3-none-any.whl').as_uri()}\n./else where/pulp-1.0-py3-none-any.whl\n"
    alone = requirements.build(asked(wheels, lines), NODES)
    assert alone
    assert sorted(alone.packages) == ["peel-1.0-py3-none-any.whl", "pulp-1.0-py3-none-any.whl"]
    assert {"peel.py", "pulp.py"} <= set(members(alone.archive))
    wheel(wheels, "juice")
    mixed = requirements.build(asked(wheels, f"juice\n{elsewhere}/seed-1.0-py3-none-any.whl\n"), NODES)
    assert mixed
    assert sorted(mixed.packages) == ["juice==1.0", "seed-1.0-py3-none-any.whl"]


def test_no_password_of_an_address_is_kept() -> None:
    lock = "--index-url https://me:secret@fruit.org/simple\n\njuice==1.0 ; os_name == 'posix' \\\n    --hash=sha256:0\n"
    lock += "peel @ https://me:secret@example.org/peel-1.0-py3-none-any.whl?token=secret#a/b \\\n    --hash=sha256:00\n"
    assert requirements.packages_of(lock) == ("juice==1.0", "peel-1.0-py3-none-any.whl")


def test_a_folder_is_no_wheel_and_is_refused(wheels: Path) -> None:
    (wheels.parent / "peel").mkdir()
    (wheels.parent / "peel" / "pyproject.toml").write_text('[project]\nname = "peel"\nversion = "1.0"\n')
    assert "peel" in refused(wheels, f"-e {wheels.parent}/peel\n")
    assert "peel" in refused(wheels, f"{wheels.parent}/peel\n")


def test_a_conflict_with_a_package_of_the_clusters_is_named(wheels: Path) -> None:
    said = refused(wheels, "fruit==2.0\n")
    assert said.startswith(f"What {wheels.parent}/requirements.txt asks for cannot be had for the nodes (Python 3.11, ")
    assert "where the cluster's own packages stay as requirements/nodes.txt has them: " in said
    assert "fruit==2.0 and fruit==1.0" in said
    assert "\n" not in said


def test_a_wheel_that_is_there_for_another_processor_alone_is_named(wheels: Path) -> None:
    wheel(wheels, "press", tag="cp311-cp311-manylinux_2_28_aarch64")
    assert "press" in refused(wheels, "press")
    arm = requirements.build(asked(wheels, "press"), Nodes("3.11", "aarch64-manylinux_2_36"))
    assert arm
    assert arm.packages == ("press==1.0",)


def test_a_wheel_that_needs_a_younger_linux_is_named(wheels: Path) -> None:
    wheel(wheels, "press", tag="cp311-cp311-manylinux_2_39_x86_64")
    assert "press" in refused(wheels, "press")


def test_what_nobody_has_and_what_is_no_requirement_is_named(wheels: Path) -> None:
    assert "peel" in refused(wheels, "peel")
    assert "requirements.txt" in refused(wheels, "not a requirement\n")
    with pytest.raises(InputError, match=r"^There is no file none\.txt: REQUIREMENTS names one of pip's form"):
        requirements.build("none.txt", NODES)


def test_sources_are_not_built_for_other_machines(wheels: Path) -> None:
    with tarfile.open(wheels / "press-1.0.tar.gz", "w:gz"):
        pass
    said = refused(wheels, "press")
    assert "no usable wheels" in said, said


def test_a_wheel_that_was_changed_after_it_was_resolved_is_refused(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "juice")
    resolve = requirements._resolve

    def then_change(*words: object) -> None:
        resolve(*words)  # type: ignore[arg-type]
        wheel(wheels, "juice", requires="fruit")
        # uv has kept the one that it resolved.
        shutil.rmtree(wheels.parent / "cache")

    monkeypatch.setattr(requirements, "_resolve", then_change)
    assert refused(wheels, "juice").startswith("The packages could not be fetched: ")
    assert list((wheels.parent / "kept").glob("*")) == []


def test_the_clusters_packages_are_those_of_its_lock_for_its_platform(wheels: Path) -> None:
    assert requirements.of_cluster(NODES) == ["fruit"]
    requirements.LOCK = Path(__file__).resolve().parents[4] / "requirements" / "nodes.txt"
    own = requirements.of_cluster(NODES)
    assert {"pyspark", "numpy", "tensorflow-cpu"} <= set(own)
    # What workers do not have is packed for a program that asks for it.
    of_all = requirements.of_cluster(Nodes("3.11", "x86_64-manylinux_2_36", are_alike=False))
    assert {"pyspark", "numpy"} <= set(of_all)
    assert not {"tensorflow-cpu", "keras", "jupyterlab"} & set(of_all)
    assert "tensorflow" not in own
    assert "tensorflow" in requirements.of_cluster(Nodes("3.11", "aarch64-manylinux_2_36"))
