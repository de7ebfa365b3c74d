#!/usr/bin/python3 -I
"""The operator's one door to this host: begins and ends runs, says how they are, and gives out logs. Answers in JSON.

It runs as root by way of sudo and takes what the host is from /etc/orchard/cluster.json, which Ansible writes. Exit
codes: 0 fine, 2 asked for what cannot be, 8 another run is under way, 78 the host is not configured; others are those
of the program that failed.
"""

import argparse
import fcntl
import gzip
import http
import http.client
import io
import json
import os
import pwd
import re
import select
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

FACTS = Path("/etc/orchard/cluster.json")
PYTHON = "/usr/bin/python3"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CANNOT_BE, UNDER_WAY, NOT_CONFIGURED = 2, 8, 78
# The kernel's number for a program that ended by itself (CLD_EXITED); other numbers mean a signal.
EXITED = "1"
CURSOR = "-- cursor: "
# What the job prints, for programs: an event behind this prefix; the phase that counts pictures.
JOB_PREFIX, JOB_COUNTS_IN = "orchard: ", "features"
# How the keeper's reason for an end begins that no work puts off.
TOO_OLD = "age: "
# The class of an executor's process; pkill ends with 1 where there is none.
EXECUTOR, NONE_FOUND = "org.apache.spark.executor.CoarseGrainedExecutorBackend", 1
# What an executor writes once its driver has answered that it may go, and how long that is waited for.
HEARD_SECONDS = 10
UNTIL_HEARD = (
    "for executor; do until grep -qsF 'Decommission executor' /proc/$executor/cwd/stderr || [ ! -e /proc/$executor ]; "
    "do sleep 0.1; done; done"
)
SHOWN = (
    "Id",
    "LoadState",
    "SubState",
    "InvocationID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
)
# Executors' output within the parcel and in the bucket, and which of their files it is.
EXECUTORS, EXECUTORS_WRITE, LEFT_OUT = "executors.tar.gz", "std*", "left-out.txt"
QUICKLY = 1  # of compression: a host has little time for it, and the line is quicker than the best
JOURNAL_BYTES, PAGE_BYTES = 512 * 1024**2, 1024**2
PACKED_BYTES, PACK_SECONDS = 2 * 1024**3, 50
PAGE_SECONDS = 5
LOCK_SECONDS = 30
CONNECT_SECONDS, CONNECT_LOOK_SECONDS = 120, 5  # until Spark Connect listens; between two looks whether it still does
# 127.0.0.1 as the kernel's table has it, and as that of IPv6, in which Java's sockets stand.
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")
LISTENING = "0A"
UPLOAD_SECONDS, COMMAND_SECONDS = 120, 240
KEEP_SECONDS = 50  # the program's own limit, and some more
JOB_PAGE_SECONDS = 20  # the first answer of a busy driver takes a while; a closed port says so at once
# Sent to the environment's Python, which has boto3: BUCKET, then a key and a file for each.
UPLOAD = """
import sys, boto3
bucket, *rest = sys.argv[1:]
for key, file in zip(rest[::2], rest[1::2]):
    boto3.client("s3").upload_file(file, bucket, key)
"""
# boto3 gives the metadata service one second, once: too little for a host that is busy.
METADATA = ("AWS_METADATA_SERVICE_TIMEOUT=5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS=4")

Facts = dict[str, Any]


class RefusalError(Exception):
    """What cannot be done here: one sentence, and the exit code."""

    def __init__(self, sentence: str, code: int = CANNOT_BE) -> None:
        super().__init__(sentence)
        self.code = code


def read_facts() -> Facts:
    """What the host is. Raises RefusalError where Ansible has not come so far."""
    try:
        facts: Facts = json.loads(FACTS.read_text())
    except (OSError, ValueError):
        raise RefusalError(f"There is no readable {FACTS} on this host: `make up` mends it.", NOT_CONFIGURED) from None
    return facts


# Runs


def unit_of(facts: Facts, run_id: str) -> str:
    """The name of a run's unit. Raises RefusalError for what is no run's name."""
    if not RUN_ID.fullmatch(run_id):
        raise RefusalError(f"The run's name {run_id!r} may hold letters, digits, '.', '_' and '-' only.")
    return f"{facts['run_prefix']}{run_id}.service"


def start(facts: Facts, run_id: str, description: str, job: list[str], is_own: bool = False) -> dict[str, str]:
    """Start the job as a transient unit, as hardened as the daemons. An ended unit of that name gives way.

    Raises RefusalError where another goes on: whoever asks has looked some minutes ago.
    With `is_own` it is a person's own program, and the words are the launcher's.
    """
    name = unit_of(facts, run_id)
    if not all(word.isprintable() for word in (description, *job)):
        # systemd writes what it is given into a unit's file, where a line's end begins another setting.
        raise RefusalError("A run's words and description are of printable characters only.")
    with held_by_keeper(facts) as state:
        require_staying(state)
        require_alone(facts)
        if is_own:
            start_unit(name, description, own_command(facts, run_id, job), own_properties(facts, run_id))
        else:
            start_unit(name, description, built_in_command(facts, job), facts["run_properties"])
    return {"run_id": run_id}


def require_staying(state: dict[str, Any]) -> None:
    """Raise RefusalError where the keeper's state says that the cluster is about to stop, whatever is at work."""
    ending = str(state.get("ending") or "")
    # One that ends for idleness goes on for this work.
    if over := state.get("ended") or (ending if ending.startswith(TOO_OLD) else ""):
        raise RefusalError(f"The cluster is stopping ({over}): wait until it has, `make start`, then again.")


def require_alone(facts: Facts) -> None:
    """Raise RefusalError where a run is under way: one at a time."""
    for run in runs(facts):
        if run["is_running"]:
            raise RefusalError(
                f"Run {run['run_id']} is under way and has all cores: `make follow` attaches to it, `make stop-run` "
                "ends it.",
                UNDER_WAY,
            )


@contextmanager
def held_by_keeper(facts: Facts) -> Iterator[dict[str, Any]]:
    """The keeper's state while it neither changes it nor stops the cluster; empty where there is none."""
    folder = Path(facts["paths"]["keeper_status"]).parent
    try:
        with exclusive(folder, LOCK_SECONDS):
            try:
                state = json.loads((folder / "state.json").read_text())
            except (OSError, ValueError):
                state = {}
            yield state
    except TimeoutError:
        raise RefusalError("The keeper of this cluster is at something for long: try again in a minute.") from None


@contextmanager
def exclusive(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the lock in a folder, made where there is none. Raises TimeoutError where somebody else has it for long."""
    folder.mkdir(parents=True, exist_ok=True)
    # Root's alone: whoever may open it may also hold it.
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        if not wait_until(lambda: is_locked(descriptor), seconds, every=0.1):
            raise TimeoutError(f"somebody else holds {folder}/lock")
        yield
    finally:
        os.close(descriptor)


def wait_until(look: Callable[[], bool], seconds: float, every: float = 1.0) -> bool:
    """Whether what is looked for came true in time; `every` is the pause between two looks."""
    until = time.monotonic() + seconds
    while not (is_true := look()) and time.monotonic() < until:
        time.sleep(every)  # between two looks at a condition, which nothing announces
    return is_true


def is_locked(descriptor: int) -> bool:
    """Whether the lock is this process's now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def built_in_command(facts: Facts, job: list[str]) -> list[str]:
    """The built-in job with these words."""
    return [facts["paths"]["python"], "-m", "pipeline", "run", "--master", facts["master_url"], *job]


def own_command(facts: Facts, run_id: str, words: list[str]) -> list[str]:
    """The launcher of a person's own program."""
    return [facts["paths"]["python"], "-I", facts["paths"]["own_job"], "run", run_id, *words]


def own_properties(facts: Facts, run_id: str) -> list[str]:
    """What its unit is like. Whatever becomes of the launcher, log and record are kept by what comes after it."""
    after = f"ExecStopPost={facts['paths']['python']} -I {facts['paths']['own_job']} end {run_id}"
    return [*facts["run_properties"], *facts["own_properties"], *facts["own_job_properties"], after]


def start_unit(name: str, description: str, command: list[str], properties: list[str]) -> None:
    """Start a command as a transient unit of that name."""
    for verb in ("stop", "reset-failed"):
        subprocess.run(["systemctl", verb, name], check=False, capture_output=True)
    words = ["systemd-run", "--quiet", "--service-type=exec", f"--unit={name}", f"--description={description}"]
    words += [f"--property={line}" for line in properties]
    # systemd takes `$$` for a dollar.
    do([*words, *(word.replace("$", "$$") for word in command)])


def stop(facts: Facts, run_id: str) -> dict[str, str]:
    """Send the job SIGTERM: it keeps what is finished and ends. It may take some seconds."""
    do(["systemctl", "stop", "--no-block", unit_of(facts, run_id)])
    return {"run_id": run_id}


def runs(facts: Facts) -> list[dict[str, Any]]:
    """Every run since the host booted, the latest begun last."""
    shown = show(f"{facts['run_prefix']}*.service").split("\n\n")
    found = [run for block in shown if (run := run_in(facts, properties(block)))]
    return sorted(found, key=lambda run: run["began_at"])


def look(facts: Facts, run_id: str, cursor: str, most_lines: int = 0) -> dict[str, Any]:
    """A run (null where there is none), what it has printed since the cursor, and the cursor to go on from.

    When the run has ended, all of it has been printed. `warning` is the keeper's, of an end that is near, or null;
    `notices` are its sentences on workers that AWS takes back.
    With `most_lines` the last ones alone are read.
    """
    # The state first: what a unit that has ended wrote is in the journal, once that is in step.
    shown = properties(show(unit_of(facts, run_id)))
    run = run_in(facts, shown)
    if run is None:
        return {"run": None, "lines": [], "cursor": cursor, "warning": None, "notices": []}
    if not run["is_running"]:
        output(["journalctl", "--sync"])
    after = [f"--after-cursor={cursor}"] if cursor else []
    after += [f"--lines={most_lines}"] if most_lines else []
    words = ["--output=cat", "--show-cursor", *after, f"_SYSTEMD_INVOCATION_ID={shown['InvocationID']}"]
    lines = entries(words).decode(errors="replace").splitlines()
    if lines and lines[-1].startswith(CURSOR):
        cursor = lines.pop().removeprefix(CURSOR)
    status = keeper_status(facts)
    return {"run": run, "lines": lines, "cursor": cursor, "warning": warning(status), "notices": notices(status)}


def keeper_status(facts: Facts) -> dict[str, Any]:
    """What the keeper wrote last; empty where there is nothing to read."""
    try:
        status = json.loads(Path(facts["paths"]["keeper_status"]).read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def warning(status: dict[str, Any]) -> str | None:
    """What the keeper says of an end that is near."""
    said = status.get("warning")
    return said if isinstance(said, str) else None


def notices(status: dict[str, Any]) -> list[str]:
    """What the keeper says of workers that AWS takes back."""
    said = status.get("notices")
    return [sentence for sentence in said if isinstance(sentence, str)] if isinstance(said, list) else []


def show(pattern: str) -> str:
    """What systemd knows of the units."""
    return text(["systemctl", "show", "--timestamp=unix", f"--property={','.join(SHOWN)}", pattern])


def properties(block: str) -> dict[str, str]:
    """Lines of NAME=VALUE."""
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def run_in(facts: Facts, shown: dict[str, str]) -> dict[str, Any] | None:
    """A run by its unit's properties: `code` is the job's own once it has ended, 128 and the signal if it was killed.

    None where there is no such unit. Times are seconds of the epoch.
    """
    if shown.get("LoadState") != "loaded":
        return None
    is_running = shown["SubState"] not in ("exited", "failed", "dead")
    status = int(shown["ExecMainStatus"])
    code = status if shown["ExecMainCode"] == EXITED else 128 + status
    return {
        "run_id": shown["Id"].removeprefix(facts["run_prefix"]).removesuffix(".service"),
        "is_running": is_running,
        "code": None if is_running else code,
        "began_at": epoch(shown["ExecMainStartTimestamp"]) or 0.0,
        "ended_at": epoch(shown["ExecMainExitTimestamp"]),
    }


def epoch(stamp: str) -> float | None:
    """`@1000` as a number; None for a moment that has not come."""
    return float(stamp.removeprefix("@")) if stamp.startswith("@") else None


# Spark


def master_state(facts: Facts) -> dict[str, Any] | None:
    """Workers alive, applications and cores by the master's own word; null while it does not answer as one."""
    state = page(facts["master_address"], facts["ports"]["master_ui"])
    return state and {
        # The master goes on listing dead workers.
        "alive": [worker["host"] for worker in state["workers"] if worker["state"] == "ALIVE"],
        "applications": [application["name"] for application in state["activeapps"]],
        "cores": state["cores"],
    }


def executors(facts: Facts, address: str) -> int | None:
    """How many executors the worker at that address runs; null when it does not answer."""
    state = page(address, facts["ports"]["worker_ui"])
    return None if state is None else len(state["executors"])


def page(address: str, port: int) -> dict[str, Any] | None:
    """The page for programs of a Spark daemon; while one starts, its page for people is there before."""
    state = asked(f"http://{address}:{port}/json/", PAGE_SECONDS)
    return state if isinstance(state, dict) else None


def asked(url: str, seconds: float, headers: dict[str, str] | None = None) -> Any:
    """What a page says, parsed; None where it says nothing of use, too much or too slowly: others may listen there."""
    try:
        return json.loads(fetched(url, seconds, headers or {}) or b"")
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None


def fetched(url: str, seconds: float, headers: dict[str, str]) -> bytes | None:
    """A page, by no proxy and without following it elsewhere; None for another answer than 200, or a longer one.

    After so many seconds the line is cut, however slowly something still comes.
    """
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)
    connection.connect()
    line: socket.socket = connection.sock
    watch = threading.Timer(seconds, cut, [line])
    watch.daemon = True
    watch.start()
    try:
        connection.request("GET", where.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(PAGE_BYTES + 1)
        return body if answer.status == http.HTTPStatus.OK and len(body) <= PAGE_BYTES else None
    finally:
        watch.cancel()
        connection.close()


def cut(line: socket.socket) -> None:
    """End a connection under whoever waits for it."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def job_pages(facts: Facts, seconds: float = JOB_PAGE_SECONDS) -> list[dict[str, Any]]:
    """Which drivers on this host show a page: port, and the application's name and id."""
    found = []
    for port in facts["ports"]["job_ui"]:
        listed = asked(f"http://{facts['private_address']}:{port}/api/v1/applications", seconds)
        for application in listed if isinstance(listed, list) else []:
            if isinstance(application, dict) and isinstance(application.get("name"), str):
                found.append({"port": port, "name": application["name"], "id": str(application.get("id"))})
    return found


def decommission(facts: Facts) -> dict[str, str]:
    """Have this worker tell master and executors that it is about to go, and finish what it is at."""
    unit = f"{facts['units']['worker']}.service"
    # Spark's worker and executors listen to this signal (spark.decommission.enabled). Executors first: one whose driver
    # has the worker's word already takes the signal for an end at once. The worker speaks for those alone that their
    # driver knows; one that is just starting would stay and get tasks.
    which = [f"--uid={facts['service_user']}", "--full", EXECUTOR]
    executors = subprocess.run(["pgrep", *which], check=False, stdout=subprocess.PIPE, text=True).stdout.split()
    signalled = subprocess.run(["pkill", "--signal=SIGPWR", *which], check=False, stdout=subprocess.DEVNULL)
    if signalled.returncode not in (0, NONE_FOUND):
        signalled.check_returncode()
    if executors:
        wait_until_heard(facts, executors)
    do(["systemctl", "kill", "--kill-who=main", "--signal=SIGPWR", unit])
    return {"unit": unit}


def wait_until_heard(facts: Facts, executors: list[str]) -> None:
    """Wait until these executors' logs say that they are about to go, or they have gone: HEARD_SECONDS at most.

    Their own user reads them, in a unit as bounded as every other of that user's.
    """
    bounds = [
        *(f"User={facts['service_user']}", f"Group={facts['service_group']}", f"RuntimeMaxSec={HEARD_SECONDS}"),
        *facts["hardening"],
    ]
    words = ["systemd-run", "--quiet", "--wait", "--collect", *(f"--property={line}" for line in bounds)]
    # systemd takes `$$` for a dollar.
    subprocess.run([*words, "/bin/sh", "-c", UNTIL_HEARD.replace("$", "$$"), "sh", *executors], check=False)


# Spark Connect


def connect(facts: Facts, given: int = 0) -> dict[str, bool]:
    """Have Spark Connect run until the input of this program ends; a line of JSON says when it answers, and how.

    It stops with the last who had it run: `has_stopped`. Raises RefusalError where it does not start, or ends before.
    """
    unit = facts["units"].get("connect", "")
    if facts["role"] != "master" or not unit:
        raise RefusalError("There is no Spark Connect on this host: `make up` puts it on the master.", NOT_CONFIGURED)
    with shared(Path(facts["paths"]["connect_holders"]), lambda: stop_unit(unit)) as share:
        with held_by_keeper(facts) as state:
            require_staying(state)
            do(["systemctl", "start", f"{unit}.service"])
        wait_until(
            lambda: is_answering(facts, unit) or not is_active(unit) or has_ended(given), CONNECT_SECONDS, every=0.5
        )
        if not is_answering(facts, unit):
            raise RefusalError("Spark Connect did not start, and its log, spark-connect.log, says why.")
        token = Path(facts["paths"]["connect_token"]).read_text().strip().partition("=")[2]
        print(json.dumps({"token": token, **versions(facts)}), flush=True)
        if not is_active_until_end_of(given, unit):
            raise RefusalError("Spark Connect has ended there, and the same command starts it again.")
    return {"has_stopped": share.was_last}


class Share:
    """One's share of what several have in common."""

    was_last = False


@contextmanager
def shared(folder: Path, at_the_end: Callable[[], None]) -> Iterator[Share]:
    """Have something in common with whoever else on this host names the folder; the last one to go ends it.

    Who is killed has gone, too. Raises RefusalError where somebody comes or goes for long.
    """
    share = Share()
    with at_the_door(folder):
        descriptor = os.open(folder / "holders", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        yield share
    finally:
        try:
            with at_the_door(folder):
                # Nobody comes or goes meanwhile.
                share.was_last = is_locked(descriptor)
                if share.was_last:
                    at_the_end()
        finally:
            os.close(descriptor)


@contextmanager
def at_the_door(folder: Path) -> Iterator[None]:
    """Come or go alone."""
    try:
        with exclusive(folder, LOCK_SECONDS):
            yield
    except TimeoutError:
        raise RefusalError("Somebody else is at Spark Connect for long: try again in a minute.") from None


def stop_unit(unit: str) -> None:
    """Stop a unit and wait until it has."""
    do(["systemctl", "stop", f"{unit}.service"])


def is_answering(facts: Facts, unit: str) -> bool:
    """Whether Spark Connect listens: the unit's user, and nobody else in its place, who would be sent its token."""
    return listener(facts["ports"]["connect"]) in {user_of(unit)} - {None}


def is_active_until_end_of(given: int, unit: str) -> bool:
    """Wait for the end of an input, or of the unit; whether the unit was up until then."""
    while is_active(unit):
        if has_ended(given, CONNECT_LOOK_SECONDS):
            return True
    return False


def has_ended(given: int, seconds: float = 0) -> bool:
    """Whether an input has ended, or does in that time."""
    return bool(select.select([given], [], [], seconds)[0]) and not os.read(given, PAGE_BYTES)


def versions(facts: Facts) -> dict[str, str]:
    """Which Python and pyspark the environment has."""
    asked = "import importlib.metadata as m, json, platform as p; "
    asked += "print(json.dumps({'python': p.python_version(), 'pyspark': m.version('pyspark')}))"
    told: dict[str, str] = json.loads(output([facts["paths"]["python"], "-I", "-c", asked]))
    return told


def listener(port: int, tables: tuple[str, ...] = ("/proc/net/tcp", "/proc/net/tcp6")) -> int | None:
    """The user id of who listens on this port of 127.0.0.1; None where nobody does."""
    for table in filter(Path.exists, map(Path, tables)):
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *_, user = line.split()[:8]
            if state == LISTENING and local in {f"{address}:{port:04X}" for address in LOOPBACK}:
                return int(user)
    return None


def user_of(unit: str) -> int | None:
    """The user id that a unit runs as."""
    name = text(["systemctl", "show", "--property=User", "--value", f"{unit}.service"]).strip()
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def is_active(unit: str) -> bool:
    """Whether a unit is up, or on its way there."""
    words = ["systemctl", "show", "--property=ActiveState", "--value", f"{unit}.service"]
    return text(words).strip() in ("active", "activating", "reloading")


# The keeper


def keeper(facts: Facts, words: list[str]) -> Any:
    """What the keeper answers. Raises RefusalError with its sentence."""
    program = facts["paths"]["keeper"]
    if facts["role"] != "master" or not Path(program).is_dir():
        raise RefusalError("There is no keeper on this host: `make up` puts it on the master.", NOT_CONFIGURED)
    done = subprocess.run([PYTHON, "-I", program, *words], check=False, capture_output=True, text=True)
    if done.returncode == CANNOT_BE:
        raise RefusalError(done.stderr.strip().rpartition("\n")[2].removeprefix("orchard-run: "))
    done.check_returncode()
    return json.loads(done.stdout)


# What outlives the cluster


def keep_files(facts: Facts) -> dict[str, list[str]]:
    """Have event logs and notebooks put into the bucket now, by their owners' units; gives those that did not."""
    units: list[str] = facts.get("keeping_units", [])
    # One that is under way has looked already, and so each is asked twice; the second time it has little to do.
    with ThreadPoolExecutor(max(1, len(units))) as pool:
        done = pool.map(lambda unit: has_kept(unit) and has_kept(unit), units)
        return {"left": [unit for unit, is_done in zip(units, done, strict=True) if not is_done]}


def has_kept(unit: str) -> bool:
    """Start such a unit, and say whether it left nothing."""
    try:
        subprocess.run(["systemctl", "start", unit], stdout=subprocess.DEVNULL, check=True, timeout=KEEP_SECONDS)
        # For systemd it is no failure that something was left: the next minute may do.
        return text(["systemctl", "show", "--property=ExecMainStatus", "--value", unit]).strip() == "0"
    except subprocess.SubprocessError:
        return False


# Logs


def pack_logs(facts: Facts) -> dict[str, str]:
    """Pack a journal for each unit, executors' output and the first boot, where only the operator's user may read.

    What executors wrote is a tar of its own within: nothing of theirs is taken apart here.
    """
    paths = facts["paths"]
    descriptor, path = tempfile.mkstemp(prefix="orchard-logs-", suffix=".tar.gz", dir="/var/tmp")
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz", compresslevel=QUICKLY) as tar,
            tempfile.TemporaryFile() as executors,
        ):
            for unit in logged_units(facts["journals"]):
                add(tar, f"{unit.removesuffix('.service')}.log", journal([unit]))
            if Path(paths["first_boot_log"]).is_file():
                tar.add(paths["first_boot_log"], Path(paths["first_boot_log"]).name)
            if failed := pack_as_service_user(facts, paths["work"], EXECUTORS_WRITE, executors):
                add(tar, f"{Path(paths['work']).name}/{LEFT_OUT}", failed.encode())
            else:
                executors.seek(0)
                entry = tarfile.TarInfo(EXECUTORS)
                # By the size that was asked once: whoever had the file open may change it meanwhile.
                entry.size = min(os.fstat(executors.fileno()).st_size, PACKED_BYTES)
                tar.addfile(entry, executors)
            os.fchown(file.fileno(), pwd.getpwnam(facts["ssh_user"]).pw_uid, -1)
    except BaseException:
        Path(path).unlink()
        raise
    return {"path": path}


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file of this content."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def save_logs(facts: Facts, bucket: str, prefix: str) -> dict[str, Any]:
    """Put journals, Spark's event logs and executors' output into the bucket; gives how many bytes.

    It is the last that is heard of a host, so what outlives the cluster goes first.
    """
    paths = facts["paths"]
    if not (os.access(paths["python"], os.X_OK) and Path(paths["environment_file"]).exists()):
        raise RefusalError("There is no Python environment on this host yet: `make up` makes it.", NOT_CONFIGURED)
    kept = keep_files(facts)
    with tempfile.TemporaryDirectory(prefix="orchard-logs-") as made:
        (Path(made) / "journal.txt.gz").write_bytes(gzip.compress(journal(facts["journals"]), QUICKLY))
        for name, folder, pattern in (("events.tar.gz", "events", "*"), (EXECUTORS, "work", EXECUTORS_WRITE)):
            with (Path(made) / name).open("wb") as file:
                failed = pack_as_service_user(facts, paths[folder], pattern, file)
            if failed:
                (Path(made) / name).unlink()
                (Path(made) / f"{name}.{LEFT_OUT}").write_text(failed)
        files = sorted(Path(made).iterdir())
        pairs = [word for file in files for word in (f"{prefix}/{file.name}", str(file))]
        words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
        words += [f"--property=RuntimeMaxSec={UPLOAD_SECONDS}"]
        words += [f"--property=EnvironmentFile={paths['environment_file']}", *(f"--setenv={line}" for line in METADATA)]
        do([*words, paths["python"], "-", bucket, *pairs], UPLOAD)
        return kept | {"bytes": sum(file.stat().st_size for file in files)}


def pack_as_service_user(facts: Facts, folder: str, pattern: str, target: BinaryIO | IO[bytes]) -> str:
    """Have that user's files packed by that user; gives why not, empty when all went well.

    In a unit as bounded as every other of that user's: an executor could take the packer over, and gains nothing by it.
    """
    words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    bounds = [
        *(f"User={facts['service_user']}", f"Group={facts['service_group']}", f"LimitFSIZE={PACKED_BYTES}"),
        *(f"RuntimeMaxSec={PACK_SECONDS}", "StandardError=null", "UMask=0077", *facts["hardening"]),
    ]
    command = [PYTHON, "-I", facts["paths"]["tar_logs"], folder, pattern]
    done = subprocess.run(
        [*words, *(f"--property={line}" for line in bounds), *command],
        stdin=subprocess.DEVNULL,
        stdout=target,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return f"What is in {folder} could not be packed: exit code {done.returncode}.\n" if done.returncode else ""


def logged_units(patterns: list[str]) -> list[str]:
    """Every unit of ours that has ever logged here: the journal knows those of before the last boot, too."""
    known = text(["journalctl", "--field=_SYSTEMD_UNIT"]).split()
    return [unit for unit in sorted(known) if any(fnmatch(unit, pattern) for pattern in patterns)]


def journal(units: list[str]) -> bytes:
    """What units have logged, and systemd of them."""
    return entries(["--output=short-iso", *(f"--unit={unit}" for unit in units)])


def entries(words: list[str]) -> bytes:
    """What the journal has, its first JOURNAL_BYTES: whoever may log may log much.

    Where that is nothing, journalctl ends with 1 and says nothing, as of a run just begun.
    """
    # Through no file, for the disk may be full.
    words = ["journalctl", "--quiet", "--no-pager", *words]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        with ThreadPoolExecutor(1) as thread:
            complained = thread.submit(program.stderr.read)
            said = program.stdout.read(JOURNAL_BYTES)
            if was_cut := len(said) >= JOURNAL_BYTES:
                program.kill()
    if program.returncode and complained.result() and not was_cut:
        raise subprocess.CalledProcessError(program.returncode, words)
    return said + (b"\n(cut here)\n" if was_cut else b"")


# The command line


def do(words: list[str], given: str = "") -> None:
    """Run a command with this on its input; the answer alone is on standard output."""
    subprocess.run(words, input=given, text=True, stdout=subprocess.DEVNULL, check=True, timeout=COMMAND_SECONDS)


def output(words: list[str]) -> bytes:
    """What a command prints."""
    return subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=COMMAND_SECONDS).stdout


def text(words: list[str]) -> str:
    """What a command prints, as text."""
    return output(words).decode(errors="replace")


def parser() -> argparse.ArgumentParser:
    """The commands and their words."""
    made = argparse.ArgumentParser(prog="orchard-run", description=(__doc__ or "").partition("\n")[0])
    commands = made.add_subparsers(dest="command", required=True)
    begin = commands.add_parser("start", help="begin a run; the job's own words come after --")
    begin.add_argument("run_id")
    begin.add_argument("--description", default="Orchard run")
    begin.add_argument("--own", action="store_true", help="a person's own program, whose code is in the bucket")
    commands.add_parser("stop", help="ask a run to end").add_argument("run_id")
    commands.add_parser("list", help="the runs since the host booted")
    seen = commands.add_parser("look", help="a run's state and its new lines")
    seen.add_argument("run_id")
    seen.add_argument("--cursor", default="")
    commands.add_parser("master-state", help="what the Spark master says of itself")
    commands.add_parser("executors", help="how many a worker runs").add_argument("address")
    commands.add_parser("job-pages", help="pages of the applications at work")
    commands.add_parser("decommission", help="have this worker hand over and go")
    commands.add_parser("connect", help="have Spark Connect run until the input of this program ends")
    asked = commands.add_parser("keeper", help="ask the keeper: ends, keep, tell, hold, release, end")
    asked.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("keep-files", help="put event logs and notebooks into the bucket now")
    commands.add_parser("pack-logs", help="pack the logs for the operator's user")
    saved = commands.add_parser("save-logs", help="put the logs into the bucket")
    saved.add_argument("bucket")
    saved.add_argument("prefix")
    return made


def answer(facts: Facts, asked: argparse.Namespace, job: list[str]) -> Any:
    """Do what was asked, and give what is to be printed."""
    commands: dict[str, Any] = {
        "start": lambda: start(facts, asked.run_id, asked.description, job, asked.own),
        "stop": lambda: stop(facts, asked.run_id),
        "list": lambda: runs(facts),
        "look": lambda: look(facts, asked.run_id, asked.cursor),
        "master-state": lambda: master_state(facts),
        "executors": lambda: executors(facts, asked.address),
        "job-pages": lambda: job_pages(facts),
        "decommission": lambda: decommission(facts),
        "connect": lambda: connect(facts),
        "keeper": lambda: keeper(facts, asked.words),
        "keep-files": lambda: keep_files(facts),
        "pack-logs": lambda: pack_logs(facts),
        "save-logs": lambda: save_logs(facts, asked.bucket, asked.prefix),
    }
    return commands[asked.command]()


def main(words: list[str]) -> int:
    """Answer one command; gives the exit code."""
    border = words.index("--") if "--" in words else len(words)
    asked, job = parser().parse_args(words[:border]), words[border + 1 :]
    try:
        print(json.dumps(answer(read_facts(), asked, job)))
    except RefusalError as refusal:
        print(f"orchard-run: {refusal}", file=sys.stderr)
        return refusal.code
    except subprocess.TimeoutExpired as error:
        print(f"orchard-run: {Path(error.cmd[0]).name} did not end in {error.timeout:.0f} s.", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"orchard-run: {Path(error.cmd[0]).name} ended with code {error.returncode}.", file=sys.stderr)
        return 1 if error.returncode in (CANNOT_BE, UNDER_WAY, NOT_CONFIGURED) else error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
