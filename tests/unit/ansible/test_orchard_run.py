"""orchard-run, the operator's door to a host: the program that runs there, with stand-ins for systemd's programs."""

import grp
import importlib.util
import io
import json
import os
import pwd
import socket
import subprocess
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import bucket
from scripts.runs import start
from scripts.runs.systemd_unit import Unit

PROGRAM = Path(__file__).resolve().parents[3] / "ansible" / "roles" / "common" / "files" / "orchard_run.py"
UNIT = {
    "Id": "orchard-run-r.service",
    "LoadState": "loaded",
    "SubState": "exited",
    "InvocationID": "77",
    "ExecMainCode": "1",
    "ExecMainStatus": "0",
    "ExecMainStartTimestamp": "@1000",
    "ExecMainExitTimestamp": "@1060",
}
RUNNING = {"SubState": "running", "ExecMainExitTimestamp": ""}


def shown(**changed: str) -> str:
    """What `systemctl show` says of a run that ended well, but for these properties."""
    return "".join(f"{name}={value}\n" for name, value in (UNIT | changed).items())


class Host:
    """A host as Ansible leaves it, below a folder. `say` is what a program of the system prints there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        self.state = folder / "state"
        (self.state / "work").mkdir(parents=True)
        (self.state / "events").mkdir()
        self.environment_file = folder / "environment"
        self.environment_file.touch()
        self.facts: dict[str, Any] = {
            "role": "master",
            "private_address": "10.0.0.5",
            "master_address": "10.0.0.5",
            "master_url": "spark://10.0.0.5:7177",
            "service_user": pwd.getpwuid(os.getuid()).pw_name,
            "service_group": grp.getgrgid(os.getgid()).gr_name,
            "ssh_user": pwd.getpwuid(os.getuid()).pw_name,
            "paths": {
                "python": str(folder / "bin" / "python"),
                "work": str(self.state / "work"),
                "events": str(self.state / "events"),
                "environment_file": str(self.environment_file),
                "tar_logs": str(PROGRAM.with_name("tar_logs.py")),
                "own_job": "/opt/orchard/own_job.py",
                "first_boot_log": str(folder / "first-boot.log"),
                "keeper": str(folder / "keeper"),
                "keeper_status": str(folder / "run" / "status.json"),
            },
            "ports": {"master_ui": 8090, "worker_ui": 8091, "job_ui": [4140, 4141]},
            "units": {"worker": "spark-worker"},
            "run_prefix": "orchard-run-",
            "run_properties": ["User=spark", "ProtectSystem=strict", "RestrictAddressFamilies=AF_INET AF_UNIX"],
            "own_properties": ["EnvironmentFile=/etc/orchard/own-spark/environment"],
            "own_job_properties": ["MemoryMax=75%", "OOMPolicy=continue"],
            "hardening": ["NoNewPrivileges=yes", "CapabilityBoundingSet="],
            "journals": ["spark-*.service", "orchard-*.service"],
        }
        for name in ("systemctl", "journalctl", "python", "pkill"):
            self.say(name, "")
        self.run_what_systemd_is_given()

    def say(self, program: str, printed: str, code: int = 0) -> None:
        """Have a program print this, and note what it was asked."""
        (self.folder / f"{program}.says").write_text(printed)
        script = self.folder / "bin" / program
        # A word on each line: words have blanks. A call is written at once: two may come at the same time.
        script.write_text(
            "#!/bin/sh\n"
            f'asked=$(echo {program}; printf "  %s\\n" "$@")\nprintf "%s\\n" "$asked" >> {self.folder}/asked\n'
            f"cat {self.folder}/{program}.says\nexit {code}\n"
        )
        script.chmod(0o755)

    def run_what_systemd_is_given(self) -> None:
        """Have systemd-run note what it was asked, and run the command, here and now."""
        script = self.folder / "bin" / "systemd-run"
        script.write_text(
            "#!/bin/sh\n"
            f'{{ echo systemd-run; printf "  %s\\n" "$@"; }} >> {self.folder}/asked\n'
            'while case $1 in --*) true;; *) false;; esac; do shift; done\nexec "$@"\n'
        )
        script.chmod(0o755)

    def asked(self, program: str) -> list[list[str]]:
        """The words of each call of a program."""
        calls: list[tuple[str, list[str]]] = []
        file = self.folder / "asked"
        for line in file.read_text().splitlines() if file.exists() else []:
            if line.startswith("  "):
                calls[-1][1].append(line[2:])
            else:
                calls.append((line, []))
        return [words for name, words in calls if name == program]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return Host(tmp_path)


@pytest.fixture
def program(host: Host, monkeypatch: pytest.MonkeyPatch) -> Any:
    specification = importlib.util.spec_from_file_location("orchard_run", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    file = host.folder / "cluster.json"
    file.write_text(json.dumps(host.facts))
    monkeypatch.setattr(module, "FACTS", file)
    return module


@pytest.fixture
def ask(program: Any, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Ask orchard-run; gives what its JSON holds."""

    def asked(*words: str) -> Any:
        assert program.main(list(words)) == 0, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    return asked


@pytest.fixture
def refusal(program: Any, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Ask what is refused; gives the exit code and the sentence."""

    def asked(*words: str) -> tuple[int, str]:
        code = program.main(list(words))
        printed = capfd.readouterr()
        assert printed.out == ""
        return code, printed.err

    return asked


def test_a_run_starts_as_a_unit_with_the_properties_that_ansible_gave(host: Host, ask: Callable[..., Any]) -> None:
    words = ["--images", "s3://b/my pictures", "--classes", "$HOME", "--", "--description"]
    assert ask("start", "r", "--description", "Orchard run, mini", "--", *words) == {"run_id": "r"}
    assert host.asked("systemctl")[-2:] == [
        ["stop", "orchard-run-r.service"],
        ["reset-failed", "orchard-run-r.service"],
    ]
    [begun] = host.asked("systemd-run")
    job = begun.index(host.facts["paths"]["python"])
    assert begun[:job] == [
        "--quiet",
        "--service-type=exec",
        "--unit=orchard-run-r.service",
        "--description=Orchard run, mini",
        "--property=User=spark",
        "--property=ProtectSystem=strict",
        "--property=RestrictAddressFamilies=AF_INET AF_UNIX",
    ]
    # systemd puts no variable into a person's words.
    assert begun[job + 1 :] == [
        *("-m", "pipeline", "run", "--master", "spark://10.0.0.5:7177", "--images", "s3://b/my pictures"),
        *("--classes", "$$HOME", "--", "--description"),
    ]


def test_a_person_s_own_program_is_begun_by_its_launcher_and_looked_after_at_its_end(
    host: Host, ask: Callable[..., Any]
) -> None:
    assert ask("start", "r", "--own", "--", "--main=my.py", "--", "$HOME") == {"run_id": "r"}
    [begun] = host.asked("systemd-run")
    python = host.facts["paths"]["python"]
    job = begun.index(python)
    assert [word.removeprefix("--property=") for word in begun[:job] if word.startswith("--property=")] == [
        *host.facts["run_properties"],
        "EnvironmentFile=/etc/orchard/own-spark/environment",
        "MemoryMax=75%",
        "OOMPolicy=continue",
        f"ExecStopPost={python} -I /opt/orchard/own_job.py end r",
    ]
    assert begun[job + 1 :] == ["-I", "/opt/orchard/own_job.py", "run", "r", "--main=my.py", "--", "$$HOME"]


@pytest.mark.parametrize("run_id", ["r", "another"])
def test_no_run_begins_beside_another(host: Host, refusal: Callable[..., tuple[int, str]], run_id: str) -> None:
    host.say("systemctl", f"{shown(Id='orchard-run-ended.service')}\n{shown(**RUNNING)}")
    # In the operator's own words, and with its code.
    busy = start.busy(Unit("r", is_running=True, code=None, began_at=1000.0, ended_at=None))
    assert refusal("start", run_id, "--") == (busy.exit_code, f"orchard-run: {busy}\n")
    assert host.asked("systemd-run") == []
    assert [(words[0], words[-1]) for words in host.asked("systemctl")] == [("show", "orchard-run-*.service")]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"ended": "idle: nothing at work since 10:00 UTC"}, "idle: nothing at work since 10:00 UTC"),
        ({"ended": "", "ending": "age: its time is up"}, "age: its time is up"),
    ],
)
def test_no_run_begins_in_a_cluster_that_is_stopping(
    host: Host, refusal: Callable[..., tuple[int, str]], state: dict[str, str], why: str
) -> None:
    (host.folder / "run").mkdir()
    (host.folder / "run" / "state.json").write_text(json.dumps(state))
    assert refusal("start", "r", "--") == (
        2,
        f"orchard-run: The cluster is stopping ({why}): wait until it has, `make start`, then again.\n",
    )
    assert host.asked("systemd-run") == []


def test_a_run_begins_while_the_cluster_is_about_to_end_for_idleness_and_holds_it(
    host: Host, ask: Callable[..., Any]
) -> None:
    (host.folder / "run").mkdir()
    (host.folder / "run" / "state.json").write_text(json.dumps({"ended": "", "ending": "idle: nothing at work"}))
    assert ask("start", "r", "--") == {"run_id": "r"}


def test_a_run_that_begins_in_the_second_of_the_stop_waits_for_the_keepers_last_word(
    host: Host, program: Any, refusal: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor() as pool:
        with program.held_by_keeper(host.facts):
            is_locked, tried = program.is_locked, threading.Event()
            monkeypatch.setattr(program, "is_locked", lambda descriptor: tried.set() or is_locked(descriptor))
            begun = pool.submit(refusal, "start", "r", "--")
            assert tried.wait(10)
            # What goes on is asked for while nobody else begins anything.
            assert host.asked("systemctl") == []
            (host.folder / "run" / "state.json").write_text(json.dumps({"ended": "idle: nothing at work"}))
        assert begun.result(timeout=30)[0] == 2
    assert host.asked("systemd-run") == []


def test_the_keepers_answer_and_its_refusal_are_handed_on(
    host: Host, ask: Callable[..., Any], refusal: Callable[..., tuple[int, str]]
) -> None:
    keeper = host.folder / "keeper"
    assert refusal("keeper", "ends")[0] == 78
    keeper.mkdir()
    (keeper / "__main__.py").write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    assert ask("keeper", "keep", "2") == ["keep", "2"]
    (keeper / "__main__.py").write_text("import sys; print('orchard-run: too late.', file=sys.stderr); sys.exit(2)")
    assert refusal("keeper", "keep", "2") == (2, "orchard-run: too late.\n")


@pytest.mark.parametrize("run_id", ["a/b", "../r", "", ".r", "r *", "é", "r" * 101])
@pytest.mark.parametrize("command", ["start", "stop", "look"])
def test_what_is_no_runs_name_reaches_no_program_of_root(
    host: Host, refusal: Callable[..., tuple[int, str]], command: str, run_id: str
) -> None:
    code, sentence = refusal(command, run_id)
    assert code == 2
    assert sentence.endswith("may hold letters, digits, '.', '_' and '-' only.\n")
    assert not (host.folder / "asked").exists()


def test_both_sides_of_ssh_take_the_same_names_of_runs(program: Any) -> None:
    assert program.RUN_ID.pattern == bucket.RUN_ID.pattern


def test_a_run_is_asked_to_stop_and_not_waited_for(host: Host, ask: Callable[..., Any]) -> None:
    host.say("systemctl", "what a program says is no answer\n")
    assert ask("stop", "r") == {"run_id": "r"}
    assert host.asked("systemctl") == [["stop", "--no-block", "orchard-run-r.service"]]


def test_runs_are_listed_by_their_beginning(host: Host, ask: Callable[..., Any]) -> None:
    later = shown(Id="orchard-run-a.service", ExecMainStartTimestamp="@2000", **RUNNING)
    host.say("systemctl", f"{later}\n{shown()}")
    assert ask("list") == [
        {"run_id": "r", "is_running": False, "code": 0, "began_at": 1000.0, "ended_at": 1060.0},
        {"run_id": "a", "is_running": True, "code": None, "began_at": 2000.0, "ended_at": None},
    ]
    assert host.asked("systemctl")[0][-1] == "orchard-run-*.service"
    host.say("systemctl", "")
    assert ask("list") == []


@pytest.mark.parametrize(
    ("properties", "is_running", "code"),
    [
        ({}, False, 0),
        (RUNNING, True, None),
        ({"SubState": "stop-sigterm"}, True, None),
        ({"SubState": "failed", "ExecMainStatus": "20"}, False, 20),
        # A signal is no exit code.
        ({"SubState": "failed", "ExecMainCode": "2", "ExecMainStatus": "9"}, False, 137),
    ],
)
def test_a_units_properties_tell_whether_a_run_goes_on_or_how_it_ended(
    host: Host, ask: Callable[..., Any], properties: dict[str, str], is_running: bool, code: int | None
) -> None:
    host.say("systemctl", shown(**properties))
    [run] = ask("list")
    assert (run["is_running"], run["code"]) == (is_running, code)


def test_a_look_gives_new_lines_and_where_to_go_on(host: Host, ask: Callable[..., Any]) -> None:
    host.say("systemctl", shown(**RUNNING))
    host.say("journalctl", 'orchard: {"event":"note"}\nplain\n-- cursor: s=1;i=2\n')
    seen = ask("look", "r", "--cursor", "s=1;i=1")
    assert seen["lines"] == ['orchard: {"event":"note"}', "plain"]
    assert seen["cursor"] == "s=1;i=2"
    assert seen["run"]["is_running"]
    [read] = host.asked("journalctl")
    assert "--after-cursor=s=1;i=1" in read
    # Of this attempt only.
    assert read[-1] == "_SYSTEMD_INVOCATION_ID=77"


def test_a_run_that_has_said_nothing_yet_has_no_lines(host: Host, ask: Callable[..., Any]) -> None:
    host.say("systemctl", shown(**RUNNING))
    # As journalctl does where nothing matches.
    host.say("journalctl", "", code=1)
    seen = ask("look", "r")
    assert (seen["lines"], seen["cursor"], seen["run"]["is_running"]) == ([], "", True)


def test_the_journal_is_brought_in_step_before_the_last_look_at_a_run(host: Host, ask: Callable[..., Any]) -> None:
    host.say("systemctl", shown())
    assert ask("look", "r") == {"run": ask("list")[0], "lines": [], "cursor": "", "warning": None, "notices": []}
    assert host.asked("journalctl")[0] == ["--sync"]


def test_a_look_at_a_run_that_the_host_does_not_know_gives_none(host: Host, ask: Callable[..., Any]) -> None:
    host.say("systemctl", shown(LoadState="not-found"))
    said = {"lines": [], "cursor": "c", "warning": None, "notices": []}
    assert ask("look", "r", "--cursor", "c") == {"run": None, **said}


@pytest.mark.parametrize(
    ("status", "warning"),
    [('{"warning": "It stops at 10:30."}', "It stops at 10:30."), ('{"warning": 7}', None), ("{", None), ("{}", None)],
)
def test_a_look_tells_what_the_keeper_says_of_an_end_that_is_near(
    host: Host, ask: Callable[..., Any], status: str, warning: str | None
) -> None:
    host.say("systemctl", shown(**RUNNING))
    (host.folder / "run").mkdir()
    (host.folder / "run" / "status.json").write_text(status)
    assert ask("look", "r")["warning"] == warning


@pytest.mark.parametrize(
    ("status", "notices"),
    [
        ('{"notices": ["AWS takes worker-1 back."]}', ["AWS takes worker-1 back."]),
        ('{"notices": [7, "AWS takes worker-1 back."]}', ["AWS takes worker-1 back."]),
        ('{"notices": "AWS"}', []),
        ("[]", []),
        ("{", []),
    ],
)
def test_a_look_tells_what_the_keeper_says_of_workers_that_aws_takes_back(
    host: Host, ask: Callable[..., Any], status: str, notices: list[str]
) -> None:
    host.say("systemctl", shown(**RUNNING))
    (host.folder / "run").mkdir()
    (host.folder / "run" / "status.json").write_text(status)
    assert ask("look", "r")["notices"] == notices


class Pages:
    """Web pages by address; others refuse."""

    def __init__(self, **pages: Any) -> None:
        self.pages = {url.replace("_", ":"): page for url, page in pages.items()}

    def fetched(self, url: str, seconds: float, _: dict[str, str]) -> bytes | None:
        assert seconds > 0
        for address, page in self.pages.items():
            if f":{address}/" in url:
                if isinstance(page, Exception):
                    raise page
                return page if page is None or isinstance(page, bytes) else json.dumps(page).encode()
        raise ConnectionRefusedError(url)


def test_the_masters_state_counts_only_workers_alive(
    program: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("master-state") is None
    workers = [{"host": "10.0.0.6", "state": "ALIVE"}, {"host": "10.0.0.7", "state": "DEAD"}]
    page = {"workers": workers, "activeapps": [{"name": "orchard r"}], "cores": 4, "coresused": 2}
    pages = Pages()
    monkeypatch.setattr(program, "fetched", pages.fetched)
    # While it starts, its page for people is there before the one for programs.
    pages.pages["8090"] = b"<html>"
    assert ask("master-state") is None
    pages.pages["8090"] = page
    assert ask("master-state") == {
        "alive": ["10.0.0.6"],
        "applications": ["orchard r"],
        "cores": 4,
    }
    pages.pages["10.0.0.6:8091"] = pages.pages["8091"] = {"executors": [{}, {}]}
    assert ask("executors", "10.0.0.6") == 2
    del pages.pages["8091"], pages.pages["10.0.0.6:8091"]
    assert ask("executors", "10.0.0.6") is None


def test_drivers_that_show_a_page_are_found(
    program: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages()
    pages.pages["4140"] = None  # not yet
    pages.pages["4141"] = [{"name": "notebook", "id": "app-1"}]
    monkeypatch.setattr(program, "fetched", pages.fetched)
    assert ask("job-pages") == [{"port": 4141, "name": "notebook", "id": "app-1"}]


@pytest.mark.parametrize("pkills_code", [0, 1])
def test_a_worker_and_its_executors_if_any_are_told_to_go_by_sparks_own_signal(
    host: Host, ask: Callable[..., Any], pkills_code: int
) -> None:
    host.say("pgrep", "", code=pkills_code)
    host.say("pkill", "", code=pkills_code)
    ask("decommission")
    assert host.asked("systemctl") == [["kill", "--kill-who=main", "--signal=SIGPWR", "spark-worker.service"]]
    [words] = host.asked("pkill")
    assert words[:2] == ["--signal=SIGPWR", f"--uid={pwd.getpwuid(os.getuid()).pw_name}"]
    assert words[-1].endswith(".CoarseGrainedExecutorBackend")


def test_the_worker_is_told_to_go_once_its_executors_say_that_they_do(host: Host, ask: Callable[..., Any]) -> None:
    host.say("pgrep", "71\n72\n")
    host.say("pkill", "")
    host.say("systemd-run", "")
    ask("decommission")
    [waited] = host.asked("systemd-run")
    assert f"--property=User={pwd.getpwuid(os.getuid()).pw_name}" in waited
    assert waited[-3:] == ["sh", "71", "72"]


def test_a_log_is_waited_for_until_it_says_so_and_an_executor_that_has_gone_is_not(
    program: Any, tmp_path: Path
) -> None:
    executors = [subprocess.Popen(["sleep", "1000"], cwd=tmp_path) for _ in range(2)]
    waiting = subprocess.Popen(["sh", "-c", program.UNTIL_HEARD, "sh", *(str(one.pid) for one in executors)])
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    (tmp_path / "stderr").write_text("INFO CoarseGrainedExecutorBackend: Decommission executor 7.\n")
    assert waiting.wait(10) == 0
    (tmp_path / "stderr").unlink()
    again = subprocess.Popen(["sh", "-c", program.UNTIL_HEARD, "sh", *(str(one.pid) for one in executors)])
    for one in executors:
        one.kill()
        one.wait()
    assert again.wait(10) == 0


def test_executors_that_could_not_be_told_to_go_are_no_secret(
    host: Host, refusal: Callable[..., tuple[int, str]]
) -> None:
    host.say("pgrep", "")
    host.say("pkill", "", code=3)
    assert refusal("decommission") == (3, "orchard-run: pkill ended with code 3.\n")


@pytest.mark.parametrize("words", [("--description", "mini\n[Service]\nExecStopPost=+/bin/sh"), ("--", "--limit\n1")])
def test_words_that_would_be_lines_of_a_units_file_are_refused(
    host: Host, refusal: Callable[..., tuple[int, str]], words: tuple[str, ...]
) -> None:
    assert refusal("start", "r", *words) == (
        2,
        "orchard-run: A run's words and description are of printable characters only.\n",
    )
    assert host.asked("systemd-run") == []


def members(packed: Path) -> dict[str, bytes]:
    with tarfile.open(packed) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def test_logs_are_packed_for_the_operators_user(host: Host, ask: Callable[..., Any]) -> None:
    host.say("journalctl", "spark-worker.service\nssh.service\n")
    (host.folder / "first-boot.log").write_text("booted\n")
    work = host.state / "work" / "app-1" / "0"
    work.mkdir(parents=True)
    (work / "stderr").write_text("said\n")
    packed = Path(ask("pack-logs")["path"])
    try:
        assert packed.stat().st_mode & 0o777 == 0o600
        found = members(packed)
    finally:
        packed.unlink()
    assert set(found) == {"spark-worker.log", "first-boot.log", "executors.tar.gz"}
    assert found["first-boot.log"] == b"booted\n"
    with tarfile.open(fileobj=io.BytesIO(found["executors.tar.gz"])) as executors:
        assert executors.getnames() == ["work/app-1/0/stderr"]


def test_executors_files_are_packed_by_their_own_user_as_bounded_as_every_unit(
    host: Host, ask: Callable[..., Any]
) -> None:
    Path(ask("pack-logs")["path"]).unlink()
    [words] = host.asked("systemd-run")
    user = pwd.getpwuid(os.getuid()).pw_name
    bounded = {
        f"User={user}",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "RuntimeMaxSec=50",
        "StandardError=null",
    }
    assert {f"--property={line}" for line in bounded} <= set(words)
    assert words[-4:] == ["-I", host.facts["paths"]["tar_logs"], host.facts["paths"]["work"], "std*"]


def test_where_executors_files_cannot_be_packed_the_journals_come_all_the_same(
    host: Host, program: Any, ask: Callable[..., Any]
) -> None:
    host.say("journalctl", "spark-worker.service\n")
    host.facts["paths"]["tar_logs"] = "/nowhere/tar_logs.py"
    program.FACTS.write_text(json.dumps(host.facts))
    packed = Path(ask("pack-logs")["path"])
    try:
        found = members(packed)
    finally:
        packed.unlink()
    assert found.keys() == {"spark-worker.log", "work/left-out.txt"}
    assert found["work/left-out.txt"].startswith(b"What is in ")
    assert ask("save-logs", "b", "p")["bytes"] > 0
    sent = host.asked("python")[-1][2::2]
    assert sent == ["p/events.tar.gz.left-out.txt", "p/executors.tar.gz.left-out.txt", "p/journal.txt.gz"]


def test_a_parcel_that_was_not_finished_is_not_left_about(
    host: Host, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "logged_units", lambda _: 1 / 0)
    made: list[str] = []
    mkstemp = program.tempfile.mkstemp

    def make(**words: Any) -> tuple[int, str]:
        descriptor, path = mkstemp(**(words | {"dir": str(tmp_path)}))
        made.append(path)
        return descriptor, path

    monkeypatch.setattr(program.tempfile, "mkstemp", make)
    with pytest.raises(ZeroDivisionError):
        program.pack_logs(host.facts)
    assert made
    assert not Path(made[0]).exists()


def test_a_run_is_looked_at_on_a_host_whose_disk_is_full(
    host: Host, ask: Callable[..., Any], program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As tempfile finds it then.
    def full(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    for name in ("TemporaryFile", "TemporaryDirectory", "mkstemp"):
        monkeypatch.setattr(program.tempfile, name, full)
    host.say("systemctl", shown(**RUNNING))
    host.say("journalctl", "a line\n-- cursor: s=1\n")
    assert ask("look", "r")["lines"] == ["a line"]


def test_a_journal_that_cannot_be_read_is_an_error_and_one_without_entries_is_none(host: Host, program: Any) -> None:
    host.say("journalctl", "", code=1)
    assert program.entries([]) == b""
    (host.folder / "bin" / "journalctl").write_text("#!/bin/sh\necho no such file >&2\nexit 1\n")
    with pytest.raises(program.subprocess.CalledProcessError):
        program.entries([])


def test_a_journal_without_end_is_cut(host: Host, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "JOURNAL_BYTES", 10_000)
    endless = host.folder / "bin" / "journalctl"
    endless.write_text("#!/bin/sh\nwhile echo a line of an executor; do :; done\n")
    found = program.entries([])
    assert len(found) == 10_000 + len("\n(cut here)\n")
    assert found.endswith(b"\n(cut here)\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n[1]",
        b'HTTP/1.0 200 OK\r\n\r\n[{"name": 7}, {}]',
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 200_000,
        b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\n\r\n[" + b" " * 2_000_000,
        b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    ],
)
def test_whoever_listens_where_a_drivers_page_would_be_breaks_nothing(program: Any, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as client:
                client.recv(10_000)
                client.sendall(answer)

        served = thread.submit(serve)
        port = server.getsockname()[1]
        assert program.job_pages({"private_address": "127.0.0.1", "ports": {"job_ui": [port]}}) == []
        served.result(timeout=10)


def test_logs_are_saved_by_the_environments_python_with_the_hosts_role(host: Host, ask: Callable[..., Any]) -> None:
    host.say("journalctl", "logged\n")
    rolling = host.state / "events" / "eventlog_v2_app-1"
    rolling.mkdir()
    (rolling / "events_1_app-1").write_text("event")
    assert ask("save-logs", "b", "logs/x/master")["bytes"] > 0
    words = host.asked("systemd-run")[-1]
    assert f"--property=EnvironmentFile={host.environment_file}" in words
    begins = words.index(host.facts["paths"]["python"])
    assert words[begins + 1 : begins + 3] == ["-", "b"]
    assert words[begins + 3 :: 2] == [
        "logs/x/master/events.tar.gz",
        "logs/x/master/executors.tar.gz",
        "logs/x/master/journal.txt.gz",
    ]
    assert "--unit=spark-*.service" in host.asked("journalctl")[0]


KEEPING = ["orchard-events.service", "orchard-notebooks.service"]


@pytest.fixture
def keeping(host: Host, program: Any) -> Host:
    """The master, which keeps files in the bucket."""
    host.facts["keeping_units"] = KEEPING
    program.FACTS.write_text(json.dumps(host.facts))
    return host


def test_event_logs_and_notebooks_are_put_by_their_owners_units_each_asked_until_it_has_looked_anew(
    keeping: Host, ask: Callable[..., Any]
) -> None:
    keeping.say("systemctl", "0\n")
    assert ask("keep-files") == {"left": []}
    started = [words for words in keeping.asked("systemctl") if words[0] == "start"]
    assert sorted(started) == [["start", unit] for unit in KEEPING for _ in range(2)]


def test_a_unit_that_left_something_for_the_next_minute_is_named(keeping: Host, ask: Callable[..., Any]) -> None:
    keeping.say("systemctl", "75\n")
    assert ask("keep-files") == {"left": KEEPING}


def test_a_unit_that_fails_or_hangs_is_named_and_keeps_no_log_from_being_saved(
    keeping: Host, program: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.say("journalctl", "logged\n")
    keeping.say("systemctl", "", code=1)
    answer = ask("save-logs", "b", "logs/x/master")
    assert answer["left"] == KEEPING
    assert answer["bytes"] > 0
    monkeypatch.setattr(program, "KEEP_SECONDS", 0.2)
    (keeping.folder / "bin" / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    assert ask("keep-files") == {"left": KEEPING}


def test_a_worker_keeps_no_files(host: Host, ask: Callable[..., Any]) -> None:
    assert ask("keep-files") == {"left": []}
    assert host.asked("systemctl") == []


def test_without_an_environment_no_logs_are_saved(host: Host, refusal: Callable[..., tuple[int, str]]) -> None:
    host.environment_file.unlink()
    assert refusal("save-logs", "b", "p") == (
        78,
        "orchard-run: There is no Python environment on this host yet: `make up` makes it.\n",
    )


def test_a_host_that_ansible_has_not_configured_says_so(program: Any, refusal: Callable[..., tuple[int, str]]) -> None:
    program.FACTS.unlink()
    assert refusal("list") == (
        78,
        f"orchard-run: There is no readable {program.FACTS} on this host: `make up` mends it.\n",
    )


def test_a_program_that_fails_hands_its_code_on(host: Host, refusal: Callable[..., tuple[int, str]]) -> None:
    host.say("systemctl", "", code=5)
    assert refusal("stop", "r") == (5, "orchard-run: systemctl ended with code 5.\n")
