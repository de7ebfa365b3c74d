#!/usr/bin/python3 -I
"""Runs a person's own program as the service user, within the unit of its run, and keeps its log and its record.

    own_job.py run NAME --main FILE --code SHA256 ... -- WORDS    the unit's main process
    own_job.py end NAME                                           after it, however it ended

What was sent lies below `jobs/NAME/` in the bucket, and others may write there: nothing is run whose SHA-256 is not the
one that came over SSH. Exit codes: the program's own; 22 where the bucket cannot be used or holds something else, or
the master's disk is full, 130 when it was asked to stop, 137 when it took more memory than it may.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

JOBS, ENVIRONMENTS = "jobs", "environments"
CODE, ENVIRONMENT, LOG, ABOUT = "code.zip", "environment.tar.gz", "log.txt", "about.json"
RECORD, OUTPUT = "record.json", "output"
STORAGE, STOPPED, KILLED = 22, 130, 137
OUT_OF_MEMORY = "out of memory"
LOG_BYTES = 64 * 1024**2
LOOK_SECONDS, MEMORY_SECONDS = 0.2, 0.5
# systemd gives the unit two minutes from the request to stop on.
KIND_SECONDS, SPARK_SECONDS, DRAIN_SECONDS = 60.0, 20.0, 5.0
MIB = 1024**2
CGROUPS = Path("/sys/fs/cgroup")
SPARKS_OWN = "java"


class RefusalError(Exception):
    """Why the program cannot be run: one sentence, and the exit code."""

    def __init__(self, sentence: str, code: int = STORAGE) -> None:
        super().__init__(sentence)
        self.code = code


# The bucket


def key(name: str, file: str) -> str:
    """Where a file of the job lies."""
    return f"{JOBS}/{name}/{file}"


def client() -> Any:
    """A client of S3, with patience for a host that is busy."""
    # boto3 gives the metadata service one second, once.
    os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "5")
    os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "4")
    import boto3  # what a test asks for without it needs none
    from botocore.config import Config

    # Where S3 drops packets, a job that is asked to stop says so in the time that it has.
    retries = {"max_attempts": 3, "mode": "standard"}
    return boto3.client("s3", config=Config(connect_timeout=3, read_timeout=20, retries=retries))


def fetch(source: str, digest: str, target: Path) -> None:
    """Have an object of this SHA-256 in a file. Raises RefusalError for another content, or none."""
    bucket = os.environ["ORCHARD_BUCKET"]
    try:
        client().download_file(bucket, source, str(target))
    except Exception as error:  # whatever boto3 raises: the sentence has its reason
        raise RefusalError(f"s3://{bucket}/{source} cannot be read ({error}): submit the job again.") from None
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise RefusalError(
            f"s3://{bucket}/{source} is not what was sent: somebody who may write to the bucket has changed it."
        )


def put(name: str, file: str, content: bytes | Path) -> None:
    """Put a file of the job. Raises what boto3 raises."""
    where = {"Bucket": os.environ["ORCHARD_BUCKET"], "Key": key(name, file)}
    if isinstance(content, Path):
        client().upload_file(str(content), where["Bucket"], where["Key"])
    else:
        client().put_object(Body=content, **where)


# What was sent


def prepare(folder: Path, name: str, code: str, environment: str) -> None:
    """Have code, and what it requires, fetched and unpacked. Raises RefusalError."""
    fetch(key(name, CODE), code, folder / CODE)
    with zipfile.ZipFile(folder / CODE) as archive:
        archive.extractall(folder / "code")  # noqa: S202  it is what came over SSH, by its hash
    (folder / "environment").mkdir()
    if environment:
        fetch(f"{ENVIRONMENTS}/{environment}.tar.gz", environment, folder / ENVIRONMENT)
        with tarfile.open(folder / ENVIRONMENT) as packed:
            # Debian 12's own Python is from before there were filters.
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(folder / "environment")  # noqa: S202  as above
        refuse_modules_of_the_cluster(folder / "environment", own_modules())


def own_modules() -> set[str]:
    """The modules that the cluster's own environment has, whatever their packages are called."""
    places = [Path(place) for place in sys.path if place.endswith("site-packages")]
    return {entry.name.partition(".")[0] for place in places for entry in place.iterdir() if is_module(entry)}


def is_module(entry: Path) -> bool:
    """Whether it is imported by its name and is all of that name: a folder without __init__.py may be shared."""
    return entry.suffix in (".py", ".so") or (entry / "__init__.py").is_file()


def refuse_modules_of_the_cluster(environment: Path, own: set[str]) -> None:
    """Raises RefusalError where a package brings a module that another package has on the cluster."""
    brought = {entry.name.partition(".")[0] for entry in environment.iterdir() if is_module(entry)}
    if both := sorted(brought & own):
        raise RefusalError(
            f"The requirements bring {', '.join(both)}, which the cluster has from a package of its own, and that "
            "stays as it is locked: leave the package that brings it out of REQUIREMENTS.",
            2,
        )


# The program


def environment_of(folder: Path, name: str) -> dict[str, str]:
    """The program's environment: where its output goes, how Spark hands code and packages to executors."""
    archives = [f"{folder / CODE}#code"]
    if (folder / ENVIRONMENT).exists():
        archives.append(f"{folder / ENVIRONMENT}#environment")
    # On an executor both are unpacked into the folder that it works in.
    words = ["--name", name, "--archives", ",".join(archives)]
    words += ["--conf", "spark.executorEnv.PYTHONPATH=./code:./environment", "pyspark-shell"]
    return {
        **os.environ,
        "ORCHARD_JOB": name,
        "ORCHARD_OUTPUT": f"s3a://{os.environ['ORCHARD_BUCKET']}/{key(name, OUTPUT)}",
        "PYTHONPATH": f"{folder / 'code'}:{folder / 'environment'}",
        "PYSPARK_SUBMIT_ARGS": shlex.join(words),
    }


class Asked:
    """Whether the unit was asked to stop, and whom to tell."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.hear)

    def hear(self, *_: object) -> None:
        """Hand the request on to the program, once."""
        if self.at is None:
            self.at = time.monotonic()
            if self.child is not None and self.child.poll() is None:
                self.child.terminate()


def execute(folder: Path, name: str, main: str, words: list[str], log: BinaryIO, asked: Asked) -> tuple[int, bool]:
    """Run the program to its end, Spark's JVM included; gives its exit code, and whether memory was at an end."""
    target = folder / "code" if main == "__main__.py" else folder / "code" / main
    child = subprocess.Popen(
        [sys.executable, str(target), *words],
        cwd=folder / "code",
        env=environment_of(folder, name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    asked.child = child
    if asked.at is not None:
        child.terminate()  # it was asked before there was anything to tell
    assert child.stdout
    reader = threading.Thread(target=pump, args=(child.stdout, log), daemon=True)
    reader.start()
    ate = watch(child, memory_bytes(), asked)
    code = 128 - child.returncode if child.returncode < 0 else child.returncode
    end_session(child.pid)
    end_unit(name)
    reader.join(DRAIN_SECONDS)
    if ate or oom_kills():
        return KILLED, True
    # Who ends when asked to was asked, whatever it says of it; what it failed with meanwhile is its own.
    return STOPPED if asked.at is not None and code in (0, STOPPED, 128 + signal.SIGTERM) else code, False


def pump(source: BinaryIO, log: BinaryIO) -> None:
    """Hand on what the program prints, as it comes, and keep the first LOG_BYTES of it, as far as the disk has room.

    It reads on whatever becomes of that: a program that nobody listens to waits for ever.
    """
    kept = 0
    while data := os.read(source.fileno(), 65536):
        # What somebody has seen is kept, whatever comes then.
        if kept < LOG_BYTES:
            try:
                log.write(data)
                kept += len(data)
                if kept >= LOG_BYTES:
                    log.write(b"\n(cut here)\n")
            except OSError:
                kept = LOG_BYTES
        with suppress(OSError):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def watch(child: subprocess.Popen[bytes], most: int, asked: Asked) -> bool:
    """Wait for the program's end, and end it where it takes more memory than it may; says whether it did."""
    while True:
        try:
            child.wait(MEMORY_SECONDS)
            return False
        except subprocess.TimeoutExpired:
            pass
        if most and sum(map(memory_of, members(child.pid))) > most:
            # The JVM, which is bounded itself, ends with its program, and says goodbye to the cluster.
            send(signal.SIGKILL, [process for process in members(child.pid) if program_of(process) != SPARKS_OWN])
            child.wait()
            return True
        if asked.at is not None and time.monotonic() - asked.at > KIND_SECONDS:
            child.kill()


def end_session(session: int) -> None:
    """Wait until the JVM and whatever else the program has left have ended; then end them."""
    for number, seconds in ((0, SPARK_SECONDS), (signal.SIGTERM, DRAIN_SECONDS), (signal.SIGKILL, DRAIN_SECONDS)):
        if number:
            send(number, members(session))
        until = time.monotonic() + seconds
        while members(session):
            if time.monotonic() > until:
                break
            time.sleep(LOOK_SECONDS)  # between two looks at processes that are nobody's children here
        else:
            return


def end_unit(name: str) -> None:
    """End what the program has left outside its session: its unit stays after a good end, and so would it."""
    group = own_group()
    if not group.endswith(f"-{name}.service"):
        return  # not a unit of this job's own: others are in there
    with suppress(OSError):
        found = map(int, (CGROUPS / group.lstrip("/") / "cgroup.procs").read_text().split())
        # 0 is one that cannot be seen from here, and to kill the whole of this group.
        send(signal.SIGKILL, [process for process in found if process not in (0, os.getpid())])


def send(number: int, processes: list[int]) -> None:
    """Send a signal to each that is still there."""
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def members(session: int) -> list[int]:
    """The processes of a session that go on."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # proc_pid_stat(5): state, parent, group and session follow the name in brackets.
                state, _, _, its, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            except (OSError, ValueError):
                continue  # gone, or somebody else's
            if int(its) == session and state not in "ZX":
                found.append(int(entry.name))
    return found


def program_of(process: int) -> str:
    """The name of what a process runs; empty once it is gone."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def memory_of(process: int) -> int:
    """Bytes that a process has in memory, of what it shares with others its part; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration, ValueError):
        return 0


def memory_bytes() -> int:
    """What the program may take at most, Spark's JVM included; 0 is no bound."""
    return int(os.environ.get("ORCHARD_JOB_MEMORY_MB") or 0) * MIB


def own_group() -> str:
    """The unit's group of processes, as the kernel names it; whoever comes after the unit's end is in one below it."""
    return Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].removesuffix("/.control")


def oom_kills() -> int:
    """How often the kernel has ended a process of this unit for want of memory, as far as it says."""
    try:
        events = (CGROUPS / own_group().lstrip("/") / "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in events if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError):
        return 0


# Log and record


def begin(folder: Path, about: dict[str, Any]) -> None:
    """Have an empty folder of this job's own; what is known of it lies there until its record is kept."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    (folder / ABOUT).write_text(json.dumps(about))


def state_of(code: int, ate: bool) -> str:
    """What a job has come to."""
    return OUT_OF_MEMORY if ate else {0: "complete", STOPPED: "stopped"}.get(code, "failed")


def record(about: dict[str, Any], code: int, ate: bool, ended_at: float) -> dict[str, Any]:
    """What is kept of a job that has ended: times in UTC, cost in `currency` by the price of its beginning, or None."""
    seconds, per_hour = max(0.0, ended_at - about["began_at"]), about["price_per_hour"]
    return {
        "name": about["name"],
        "state": state_of(code, ate),
        "code": code,
        "began_at": datetime.fromtimestamp(about["began_at"], UTC).isoformat(timespec="seconds"),
        "ended_at": datetime.fromtimestamp(ended_at, UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "cost": None if per_hour is None else per_hour * seconds / 3600,
        "currency": about["currency"],
    }


def finish(folder: Path, code: int, ate: bool = False) -> str:
    """Keep log and record, and leave nothing here; gives why that did not go well, or nothing.

    The folder goes last: while it is there, whoever comes after the unit knows that nothing is kept.
    """
    about = json.loads((folder / ABOUT).read_text())
    kept = record(about, code, ate, time.time())
    try:
        if (folder / LOG).exists():
            put(about["name"], LOG, folder / LOG)
        put(about["name"], RECORD, json.dumps(kept, indent=1).encode())
    except Exception as error:  # whatever boto3 raises: the program has ended, and its code counts
        return f"The log and the record of job {about['name']} could not be kept in the bucket ({error})."
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def say(sentence: str, log: BinaryIO | None = None) -> None:
    """Print a sentence of our own among the program's words."""
    line = f"orchard: {sentence}\n"
    print(line, end="", flush=True)
    if log is not None:
        with suppress(OSError):  # a full disk
            log.write(line.encode(errors="replace"))


def in_gigabytes(size: int) -> str:
    """An amount of memory for people."""
    return f"{size / 1e9:.1f} GB"


# The command line


def home() -> Path:
    """The folder of all jobs, the service user's own."""
    return Path(os.environ["HOME"]) / "jobs"


def run(asked_for: argparse.Namespace, words: list[str]) -> int:
    """Run the program; gives the exit code."""
    asked, folder = Asked(), home() / asked_for.name
    about = {"name": asked_for.name, "began_at": time.time()}
    begin(folder, about | {"price_per_hour": asked_for.price, "currency": asked_for.currency})
    code, ate = STOPPED, False
    # What a full disk has refused is not tried again at its end.
    with (folder / LOG).open("wb", buffering=0) as log:
        try:
            prepare(folder, asked_for.name, asked_for.code, asked_for.environment)
            if asked.at is None:
                code, ate = execute(folder, asked_for.name, asked_for.main, words, log, asked)
        except RefusalError as refusal:
            say(str(refusal), log)
            code = refusal.code
        except OSError as error:
            say(f"The job cannot be run on the master ({error}): has its disk room?", log)
            code = STORAGE
        if ate:
            say(
                f"The job was killed: out of memory. Program and Spark's driver took more than the "
                f"{in_gigabytes(memory_bytes())} that they may have on the master: collect less there, or choose a "
                "larger master_instance_type.",
                log,
            )
    if failed := finish(folder, code, ate):
        say(failed)
    return code


def end(name: str) -> int:
    """Keep log and record of a job that could not do so itself, having been killed; else there is nothing to do."""
    folder = home() / name
    if not (folder / ABOUT).is_file():
        return 0
    status = os.environ.get("EXIT_STATUS", "")
    # systemd says a number, or a signal's name.
    code = int(status) if status.isdigit() else 128 + int(getattr(signal, f"SIG{status}", signal.SIGKILL))
    if failed := finish(folder, code, ate=bool(oom_kills())):
        say(failed)
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their words."""
    made = argparse.ArgumentParser(prog="own_job", description=(__doc__ or "").partition("\n")[0])
    commands = made.add_subparsers(dest="command", required=True)
    begun = commands.add_parser("run")
    begun.add_argument("name")
    begun.add_argument("--main", required=True)
    begun.add_argument("--code", required=True)
    begun.add_argument("--environment", default="")
    begun.add_argument("--price", type=float)
    begun.add_argument("--currency", default="")
    commands.add_parser("end").add_argument("name")
    return made


def main(given: list[str]) -> int:
    """Do one command; gives the exit code."""
    border = given.index("--") if "--" in given else len(given)
    asked = parser().parse_args(given[:border])
    return run(asked, given[border + 1 :]) if asked.command == "run" else end(asked.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
