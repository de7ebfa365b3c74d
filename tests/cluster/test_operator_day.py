"""A person's day with a cluster: pictures up, a run, its results, notebooks; what happens to a run meanwhile.

The tests share one cluster and run in this order, after test_operator_begin.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.cluster import reference
from tests.cluster.browser import chromium, keep_picture
from tests.cluster.operator import MOST_EXPOSED, STATE_DIRECTORY, Operator
from tests.conftest import Need
from tests.sandbox.chaos import invariant, schedule
from tests.sandbox.chaos.hands import Hands
from tests.sandbox.chaos.session import reaching_s3
from tests.sandbox.chaos.trial import Trial
from tests.sandbox.faults import hosts as faults
from tests.sandbox.faults.catalogue import FAULTS
from tests.sandbox.host import Host
from tests.sandbox.ssh import Shell
from tests.waiting import wait_until

NOTEBOOK_SECONDS = 600
IDLE = "text=(Python, Spark) | Idle"
# A length of time and an amount, as they are printed, whatever this machine makes of them.
SPAN, COST = r"(?:\d+ min )?\d+ s", r"(?:less than )?\d+\.\d\d USD"
PART_SECONDS = 240
FIRST, TORN, SPOT, SPLIT, STORMY = "first", "torn", "taken", "split", "stormy"
# Of chaos, what passes in seconds; `make chaos` has the rest, and other seeds.
BRIEF, SEED = ("link-down", "oom", "reboot", "s3-errors", "s3-slow"), 18


@pytest.fixture(scope="module")
def words_of_run(imagenet_weights: Path) -> list[str]:
    """How the runs are asked for."""
    return ["run", f"--weights={imagenet_weights}", f"--args=--components {reference.COMPONENTS}"]


def keys(operator: Operator, prefix: str) -> list[str]:
    pages = operator.cloud.aws.client("s3").get_paginator("list_objects_v2")
    return [
        entry["Key"]
        for page in pages.paginate(Bucket=operator.bucket, Prefix=prefix)
        for entry in page.get("Contents", [])
    ]


def fetch_features(operator: Operator, run: str, folder: Path) -> None:
    """The features' parts, as `make results` leaves them in the bucket."""
    (folder / "features").mkdir()
    for key in keys(operator, f"runs/{run}/features/"):
        operator.cloud.aws.client("s3").download_file(operator.bucket, key, str(folder / "features" / Path(key).name))


def status(operator: Operator) -> dict:
    return json.loads(operator.type("status", "--json").out)


def state_of(operator: Operator, run: str) -> str:
    """The line of `runs` on a run."""
    [line] = [line for line in operator.type("runs").out.splitlines() if line.startswith(f"{run} ")]
    return line


@contextmanager
def parts_held(operator: Operator, run: str, after: int = 0) -> Iterator[None]:
    """For the time of the block, parts of features that the run writes wait to be taken, but for the first ones."""
    with operator.cloud.aws.gate(f"s3:PUT /{operator.bucket}/runs/{run}/features/*", after=after):
        yield


@contextmanager
def opened(operator: Operator, *words: str) -> Iterator[dict[str, str]]:
    """The pages that a task opens, by what it calls them; Ctrl-C at the end, after which nothing listens there."""
    process = operator.begin(*words)
    assert process.stdout
    pages = {}
    try:
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
            name, _, url = line.strip().partition(": ")
            pages[name] = url
        assert pages, process.communicate()
        yield pages
    finally:
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "Closed.\n"), errors
    for url in pages.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", urlsplit(url).port), 5)


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the process prints up to the line in which the pattern is found."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"{pattern} was never said:\n{said}{process.communicate()}")


# The day as it should be


@pytest.fixture(autouse=True)
def up(whole: None) -> None:
    """Each test has a cluster that is up."""


def test_without_runs_the_list_says_how_to_begin_one(operator: Operator) -> None:
    assert operator.type("runs").out == "There are no runs yet: `make run` begins one.\n"
    assert operator.refused(7, "results") == (
        f"No run in s3://{operator.bucket}/runs has ended yet: `make runs` lists what there is."
    )


def test_pictures_are_uploaded_once(operator: Operator, pictures: Path, company: dict[str, str]) -> None:
    sent = operator.make("upload", f"DATA={pictures}", **company)
    assert sent.code == 0, sent.text
    assert "Uploaded 300 of 300 files (" in sent.out
    assert sent.out.endswith("Next: make run\n")
    assert len(keys(operator, "pictures/")) == reference.PICTURES
    assert "Uploaded 0 of 300 files (0 bytes)" in operator.make("upload", f"DATA={pictures}").out


def test_a_run_ends_and_says_what_it_came_to(
    operator: Operator, imagenet_weights: Path, company: dict[str, str]
) -> None:
    words = (f"RUN={FIRST}", f"WEIGHTS={imagenet_weights}", "ARGS=--components '20'")
    done = operator.make("run", *words, **company)
    assert done.code == 0, done.text
    print(f"run over 300 pictures: {done.seconds:.0f} s")
    assert f"Run {FIRST} (mini) has begun on the master.\n" in done.out
    assert re.search(r"^ +[\d.]+ s  Listed 300 pictures in \d+ classes$", done.out, re.MULTILINE), done.text
    assert re.search(
        rf"^Run {FIRST} is complete after {SPAN} and {COST} \({SPAN} were expected\): 300 of 300 pictures\.\n"
        rf"Next: make results RUN={FIRST}\n$",
        done.out,
        re.MULTILINE,
    ), done.text


def test_a_run_is_as_hardened_as_the_daemons(operator: Operator) -> None:
    asked = "systemctl show --property=CapabilityBoundingSet,NoNewPrivileges,ProtectSystem,ReadWritePaths,User "
    run, daemon = (
        sorted(operator.shell.must(operator.host("master"), asked + unit).splitlines())
        for unit in (f"orchard-run-{FIRST}", "spark-master")
    )
    assert run == daemon
    assert {"CapabilityBoundingSet=", "ProtectSystem=strict", f"ReadWritePaths={STATE_DIRECTORY}"} <= set(run)
    exposed = f"systemd-analyze security --no-pager --threshold={MOST_EXPOSED} orchard-run-{FIRST}"
    print(operator.shell.must(operator.host("master"), exposed).splitlines()[-1])


def test_a_master_that_does_not_say_what_it_is_names_the_next_step(operator: Operator) -> None:
    master, facts = operator.host("master"), "/etc/orchard/cluster.json"
    operator.shell.must(master, f"sudo mv {facts} {facts}.away")
    try:
        for task in ("ui", "runs"):
            said = operator.refused(6, task)
            assert facts in said
            assert said.endswith("`make up` mends it.")
    finally:
        operator.shell.must(master, f"sudo mv {facts}.away {facts}")


def test_the_results_are_those_of_a_local_run(operator: Operator, local_run: Path, company: dict[str, str]) -> None:
    for _ in range(2):  # the second time over the first one's files
        done = operator.make("results", **company)
        assert done.code == 0, done.text
    folder = operator.checkout / "results" / FIRST
    assert f"Report           {folder / 'report.html'}\n" in done.out
    assert "<html" in (folder / "report.html").read_text()
    assert len((folder / "pca.csv").read_text().splitlines()) == reference.PICTURES + 1
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    fetch_features(operator, FIRST, folder)
    for part in ("features", "pca"):
        reference.assert_equal_rows(folder, local_run, part)


def test_the_list_tells_state_counts_time_and_cost(operator: Operator) -> None:
    line = state_of(operator, FIRST)
    assert re.fullmatch(rf"{FIRST} +complete +mini +300 of 300 +0 +{SPAN} +{COST}", line), line


def test_a_run_that_is_complete_is_not_done_again(operator: Operator) -> None:
    parts = keys(operator, f"runs/{FIRST}/")
    done = operator.type("run", f"--run={FIRST}")
    assert f"Run {FIRST} is complete already; nothing is left to do." in done.out
    assert keys(operator, f"runs/{FIRST}/") == parts


def test_status_tells_people_and_programs_what_there_is(operator: Operator) -> None:
    shown = operator.type("status").out
    assert re.search(r"^Cluster story in eu-west-1: running for .*; workers alive: 2 of 2$", shown, re.MULTILINE), shown
    assert re.search(r"^  worker-2 +running +c7a\.2xlarge +[\d.]+ +[\d.]+ +alive$", shown, re.MULTILINE), shown
    assert "No run is under way.\n" in shown
    assert re.search(r"^Price: 1\.01 USD an hour; about [\d.]+ USD since its start\.$", shown, re.MULTILINE), shown
    found = status(operator)
    assert (found["state"], found["workers"], found["workers_alive"], found["runs"]) == ("running", 2, 2, [])
    assert found["cost_so_far"] == pytest.approx(found["price_per_hour"] * found["uptime_seconds"] / 3600)
    assert {host["name"]: host["is_alive"] for host in found["hosts"]} == {
        "master": None,
        "worker-1": True,
        "worker-2": True,
    }


# Notebooks and pages


@dataclass(frozen=True)
class Ran:
    """A notebook that has run, and stays open."""

    page: Page
    said: str  # what its cells have printed
    images: int


def run_all_cells(browser: Browser, url: str, notebook: str) -> Ran:
    """Open a notebook of JupyterLab's and run it as a person does, by the menu.

    JupyterLab draws what is in sight only unless told: here it draws all cells, so that the page itself says what has
    become of them. Nobody reads the file meanwhile, for whoever asks for one that is being saved gets half of it.
    """
    base, _, token = url.partition("/lab?token=")
    page = browser.new_page(viewport={"width": 1400, "height": 3600})
    drawing = f"{base}/lab/api/settings/@jupyterlab/notebook-extension:tracker"
    own = {"Authorization": f"token {token}"}
    assert page.request.put(drawing, headers=own, data={"raw": '{"windowingMode": "none"}'}).ok
    page.goto(url)
    # A workspace of its own: another notebook's tab that JupyterLab brings back may be in front, idle, at the click.
    page.goto(f"{base}/lab/workspaces/{Path(notebook).stem}/tree/{notebook}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").last.wait_for(state="attached", timeout=90_000)
    page.wait_for_selector(IDLE, timeout=90_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    cells = page.locator(".jp-NotebookPanel .jp-CodeCell")
    seen: list[str] = []

    def has_stopped() -> bool:
        # A star is a cell that runs or waits, a number one that has run; after one that fails the others are empty.
        now = " ".join(cells.locator(".jp-InputPrompt").all_inner_texts())
        if seen[-1:] != [now]:
            print(f"{time.strftime('%T')} {now}")
            seen.append(now)
        return "*" not in now and "1" in now

    wait_until(has_stopped, f"the cells of {notebook} to have run", NOTEBOOK_SECONDS)
    said = "\n".join(cells.locator(".jp-OutputArea-output pre").all_inner_texts())
    assert "[ ]" not in seen[-1], f"{seen[-1]}\n{said}"
    assert "Traceback (most recent call last)" not in said, said
    return Ran(page, said, cells.locator(".jp-RenderedImage img").count())


def test_jupyter_opens_to_its_owner_and_draws_the_first_notebooks_plots(operator: Operator, need: Need) -> None:
    with opened(operator, "jupyter") as pages, chromium(need) as browser:
        url = pages["JupyterLab"]
        base, _, token = url.partition("/lab?token=")
        ran = run_all_cells(browser, url, "first_look.ipynb")
        keep_picture(ran.page, "first-notebook")
        assert ran.images == 2, ran.said
        # Notebooks leave most of the cluster to the jobs.
        state = operator.master_says()
        notebooks = [app for app in state["activeapps"] + state["completedapps"] if app["name"] == "notebook"]
        assert 0 < notebooks[0]["cores"] <= max(1, state["cores"] // 4)
        # Nobody else: not without the token, not from another host.
        stranger = browser.new_context().new_page()
        stranger.goto(f"{base}/lab")
        assert "/login" in stranger.url
        assert stranger.goto(f"{base}/api/contents").status == 403
        assert token not in operator.log()
        # The browser came with it in the address; the server's own log has that address without it.
        served = operator.shell.must(operator.host("master"), "sudo journalctl --no-pager --output=cat --unit=jupyter")
        assert "is running at" in served
        assert token not in served
        master, worker, run = operator.host("master"), operator.host("worker-1"), operator.cloud.sandbox.run
        local = base.rpartition(":")[2]
        for address, port in ((master.address, "8888"), (run.gateway, local)):
            ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
            assert operator.shell.run(worker, ask).returncode != 0


def test_the_tutorial_runs_the_whole_chain_on_the_cluster(operator: Operator, need: Need) -> None:
    with opened(operator, "jupyter") as pages, chromium(need) as browser:
        started = time.monotonic()
        ran = run_all_cells(browser, pages["JupyterLab"], "chain.ipynb")
        print(f"chain.ipynb: {time.monotonic() - started:.0f} s with the page's own start")
        ending = ran.page.get_by_role("heading", name="14. Give the cores back")
        ending.scroll_into_view_if_needed()
        ending.wait_for()
        keep_picture(ran.page, "chain-notebook-end")
    said = ran.said
    assert ran.images == 3, said
    # The network of the run, the pictures of the bucket, the workers of the cluster.
    assert re.search(r"weights: s3://\S+\.h5", said), said
    [taken] = re.findall(r"; (\d+) of 10 classes taken", said)
    assert f"\n{taken} pictures have features, 0 have none" in said, said
    assert re.search(r"the same in \d+ processes on [12] hosts", said), said
    assert "equal: they differ by" in said
    kinds = {re.sub(r"^work/chain/[\d-]+/", "", key).partition("/")[0] for key in keys(operator, "work/chain/")}
    assert {"features", "pca", "pca.csv"} <= kinds, kinds


def test_the_history_of_jobs_is_shown(operator: Operator, need: Need) -> None:
    with opened(operator, "history") as pages, chromium(need) as browser:
        page = browser.new_page()

        def listed() -> bool:
            page.goto(pages["Spark history"])
            page.wait_for_load_state("networkidle")
            text = page.inner_text("body")
            assert "verification" not in text
            return f"orchard {FIRST}" in text

        wait_until(listed, "the history server to list the run", 60)
        keep_picture(page, "spark-history")


def test_a_port_that_is_taken_is_named_or_another_is_picked(operator: Operator) -> None:
    with socket.create_server(("127.0.0.1", 18080)):
        assert operator.refused(2, "history", "--port=18080") == (
            "Port 18080 of this machine is taken by another program, and nothing was sent to it: give another with "
            "PORT=, or leave PORT out to have one picked."
        )
        with opened(operator, "history") as pages:
            assert not pages["Spark history"].endswith(":18080")
    assert operator.refused(2, "ui", "--port=http") == (
        "http is no port: give a number from 1 to 65535 with PORT=, or leave PORT out."
    )


# What happens to a run


def test_a_run_outlives_a_lost_connection_and_its_client_and_is_ended_from_another(
    operator: Operator, words_of_run: list[str], need: Need
) -> None:
    with parts_held(operator, TORN, after=1):
        client = operator.begin(*words_of_run, f"--run={TORN}")
        read_until(client, "Started Spark")
        assert client.stderr
        with faults.operator_offline(operator.host("master")):
            assert client.stderr.readline().endswith(f". Run {TORN} goes on by itself; trying again.\n")
        assert client.stderr.readline().startswith("The master answers again after ")
        with laptop_asleep(client):
            forget_connections(operator.host("master"), operator.shell)
            heard = answers_to(operator, client)
        wait_until(lambda: answers_to(operator, client) > heard + 1, "answers to a laptop that woke up", 60)
        operator.kill(client)
        assert [run["run_id"] for run in status(operator)["runs"]] == [TORN]
        assert re.match(rf"{TORN} +running", state_of(operator, TORN))
        assert operator.refused(8, *words_of_run) == (
            f"Run {TORN} is under way and has all cores: `make follow` attaches to it, `make stop-run` ends it."
        )
        show_ui(operator, need)
        follower = operator.begin("follow")
        wait_until(lambda: keys(operator, f"runs/{TORN}/features/"), "a first part", PART_SECONDS)
        stopped = operator.type("stop-run")
        said, errors = follower.communicate(timeout=60)
    assert stopped.out.endswith(f"Run {TORN} has ended and keeps what it has done: `make run RUN={TORN}` goes on.\n"), (
        stopped.text
    )
    assert "Started Spark" in said
    assert follower.returncode == 130
    assert re.fullmatch(
        rf"Run {TORN} ended with exit code 130 after .* USD: `make run RUN={TORN}` goes on with it\.", errors.strip()
    ), errors
    assert re.match(rf"{TORN} +stopped", state_of(operator, TORN))
    assert operator.refused(7, "stop-run") == (
        "No run is under way: `make run` begins one, `make runs` lists what there was."
    )


@contextmanager
def laptop_asleep(client: subprocess.Popen[str]) -> Iterator[None]:
    """Its lid is closed for the time of the block."""
    client.send_signal(signal.SIGSTOP)
    yield
    client.send_signal(signal.SIGCONT)


def answers_to(operator: Operator, client: subprocess.Popen[str]) -> int:
    """How often the client was told how the cluster is, by its own log."""
    [log] = (operator.checkout / ".orchard" / "logs").glob(f"*-run-{client.pid}.log")
    return log.read_text().count('{"alive": ')


def forget_connections(host: Host, shell: Shell) -> None:
    """What a host does whose clients have been silent for an hour; the one that this is said by goes, too."""
    assert shell.run(host, "sudo pkill -KILL -f '^sshd: [a-z]+@'").returncode != 0
    wait_until(lambda: shell.run(host, "pgrep -c -f '^sshd: [a-z]+@'").stdout.strip() == "1", "no session but this", 30)


def show_ui(operator: Operator, need: Need) -> None:
    """The master's page and the run's own, as a browser shows them."""
    with opened(operator, "ui") as pages, chromium(need) as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(pages["Spark master"])
        assert f"orchard {TORN}" in page.inner_text("body")
        keep_picture(page, "spark-master")
        page.goto(pages[f"Application orchard {TORN}"])
        assert "Spark Jobs" in page.inner_text("body")
        keep_picture(page, "spark-job")


def test_a_resumed_run_survives_a_workers_power_cut_and_ctrl_c_leaves_it_alone(
    operator: Operator, local_run: Path, tmp_path: Path
) -> None:
    assert operator.refused(2, "run", f"--run={TORN}", "--size=full") == (
        f"Run {TORN} was begun with SIZE=mini and goes on with the same weights: leave SIZE and WEIGHTS out, "
        "or choose another RUN."
    )
    victim = operator.host("worker-2")
    before = len(keys(operator, f"runs/{TORN}/features/"))
    with parts_held(operator, TORN, after=1):
        client = operator.begin("run", f"--run={TORN}")
        wait_until(lambda: len(keys(operator, f"runs/{TORN}/features/")) > before, "the work to go on", PART_SECONDS)
        faults.cut_power(victim)
        # No upgrade comes between a job and its master.
        assert upgrade(operator) == "exec-condition"
        client.send_signal(signal.SIGINT)
        _, errors = client.communicate(timeout=30)
        assert (client.returncode, errors.strip()) == (
            130,
            f"Run {TORN} goes on without you: `make follow RUN={TORN}` attaches again, "
            f"`make stop-run RUN={TORN}` ends it.",
        )
    followed = operator.type("follow")
    victim.start()
    victim.wait_until_ready()
    assert f"Run {TORN} is complete after" in followed.out
    assert re.search(r"^worker-2 was lost at .*: \d+ pictures are done again\.$", followed.out, re.MULTILINE)
    assert re.match(rf"{TORN} +complete +mini +300 of 300", state_of(operator, TORN))
    operator.type("results", f"--run={TORN}")
    folder = operator.checkout / "results" / TORN
    fetch_features(operator, TORN, folder)
    reference.assert_equal_rows(folder, local_run, "features")
    record = json.loads((folder / "run.json").read_text())
    assert record["counts"]["kept"] > 0
    [loss] = record["losses"]
    assert (loss["host"], loss["how"]) == ("worker-2", "silent")
    assert loss["pictures_redone"] > 0


def test_a_worker_that_aws_takes_back_hands_over_to_the_other(operator: Operator, words_of_run: list[str]) -> None:
    leaving, began = operator.host("worker-1"), len(keys(operator, "logs/"))
    try:
        with parts_held(operator, SPOT, after=1):
            client = operator.begin(*words_of_run, f"--run={SPOT}")
            wait_until(lambda: keys(operator, f"runs/{SPOT}/features/"), "a first part", PART_SECONDS)
            leaving.metadata.announce_spot_interruption()
            told_at = time.monotonic()
            wait_until(lambda: operator.alive() == 1, "the worker to hand over", 30)
            print(f"spot notice to a worker that takes no more tasks: {time.monotonic() - told_at:.1f} s")
            wait_until(lambda: "AWS takes worker-1 back at " in operator.type("status").out, "the line in status", 60)
        said, errors = client.communicate(timeout=PART_SECONDS)
        assert client.returncode == 0, errors
        assert "worker-1 was told to go at " in said
        sentence = r"^AWS takes worker-1 back at .* \(spot\): it finishes its tasks,"
        assert re.search(sentence, errors, re.MULTILINE), errors
        record = operator.cloud.aws.client("s3").get_object(Bucket=operator.bucket, Key=f"runs/{SPOT}/run.json")
        [loss] = json.loads(record["Body"].read())["losses"]
        # No task failed for it.
        assert (loss["host"], loss["how"], loss["pictures_redone"]) == ("worker-1", "told", 0)
        wait_until(lambda: len(keys(operator, "logs/")) > began, "its logs in the bucket", 90)
        assert any("/worker-1/journal.txt.gz" in key for key in keys(operator, "logs/"))
    finally:
        # It was a false alarm.
        leaving.metadata.withdraw_spot_interruption()
    wait_until(lambda: operator.alive() == 2, "the worker to be back", 60)


def test_a_run_outlives_a_split_between_master_and_workers(
    operator: Operator, words_of_run: list[str], local_run: Path, tmp_path: Path
) -> None:
    master = operator.host("master")
    with parts_held(operator, SPLIT, after=2):
        client = operator.begin(*words_of_run, f"--run={SPLIT}")
        wait_until(lambda: len(keys(operator, f"runs/{SPLIT}/features/")) == 2, "two parts", PART_SECONDS)
        faults.split(master)
    try:
        # What is under way on the workers is written meanwhile: S3 hears both sides.
        wait_until(lambda: operator.alive() == 0, "the master to miss its workers", 120)
    finally:
        faults.heal_split(master)
    healed = time.monotonic()
    wait_until(lambda: operator.alive() == 2, "both workers to be back by themselves", 150)
    print(f"after a split the workers are back within {time.monotonic() - healed:.0f} s")
    said, errors = client.communicate(timeout=PART_SECONDS)
    assert client.returncode == 0, said + errors
    (folder := tmp_path / SPLIT).mkdir()
    fetch_features(operator, SPLIT, folder)
    reference.assert_equal_rows(folder, local_run, "features")


def test_a_run_under_chaos_loses_nothing(operator: Operator, words_of_run: list[str], tmp_path: Path) -> None:
    hands = Hands(
        operator.cloud,
        operator.bucket,
        lambda words, log: operator.begin(*words, output=log),
        reaching_s3(os.environ | operator.environment),
        tmp_path / "chaos.log",
    )
    calm = invariant.outcome(hands, FIRST)
    field = schedule.Field({name: FAULTS[name].words for name in BRIEF}, ["master", "worker-1", "worker-2"], [])
    [blows] = schedule.draw(SEED, field, runs=1, parts=len(hands.written(FIRST)), longest=5)
    struck = Trial(hands, STORMY, words_of_run[1:], blows).endure()
    assert [one.blow for one in struck] == blows
    assert invariant.differences(invariant.outcome(hands, STORMY), calm) == []
    assert invariant.not_whole(hands, STORMY) == []
    # A run that does lose something is seen to.
    key = hands.written(STORMY)[0]
    operator.cloud.aws.client("s3").delete_object(Bucket=operator.bucket, Key=key)
    assert invariant.differences(invariant.outcome(hands, STORMY), calm)
    assert invariant.not_whole(hands, STORMY)
    hands.mend()


def upgrade(operator: Operator) -> str:
    """What becomes of the master's daily look for upgrades when its time comes now."""
    asked = "sudo systemctl start apt-daily.service; systemctl show --property=Result --value apt-daily.service"
    return operator.shell.must(operator.host("master"), asked)


def test_the_jobs_own_exit_code_and_sentence_are_handed_on(operator: Operator) -> None:
    done = operator.type("run", "--run=wrong", "--args=--limit none", "--weights=random", check=False)
    assert done.code == 2
    assert "orchard: Argument --limit: invalid whole number value: 'none'; see " in done.out
    assert re.fullmatch(
        rf"Run wrong ended with exit code 2 after {SPAN} and {COST}: mend what it names and start another run\.",
        done.err.strip(),
    ), done.text
    assert re.match(r"wrong +failed \(2\)", state_of(operator, "wrong"))
    made = operator.make("run", "RUN=wrong", "ARGS=--limit none", "WEIGHTS=random")
    assert "Error 2" in made.err


def test_after_a_reboot_of_the_master_everything_is_found_again(operator: Operator) -> None:
    master = operator.host("master")
    operator.shell.run(master, "sudo reboot")
    wait_until(lambda: not master.is_set_up(), "the master to go down")
    master.wait_until_ready()
    wait_until(lambda: status(operator)["workers_alive"] == 2, "both workers to be back", 90)
    operator.shell.must(master, "systemctl is-active spark-master spark-history jupyter")
    assert re.match(rf"{FIRST} +complete +mini +300 of 300", state_of(operator, FIRST))
    # Neither a run nor a notebook has a driver there any more.
    assert upgrade(operator) == "success"
    assert operator.refused(7, "follow") == "No run was begun since the master started: `make run` begins one."
    with opened(operator, "jupyter"):
        pass


def test_wrong_words_are_answered_in_one_sentence(operator: Operator, tmp_path: Path) -> None:
    runs = f"s3://{operator.bucket}/runs"
    answers = {
        ("results", "--run=none"): (7, f"There is no run none in {runs}: `make runs` lists what there is."),
        ("follow", "--run=none"): (7, "The master knows of no run none: `make runs` lists what there is."),
        ("stop-run", "--run=none"): (7, "No run none is under way: `make runs` lists what there is."),
        ("ssh", "--host=worker-9"): (7, "Cluster story has no host worker-9: it has master, worker-1, worker-2."),
        ("run", "--size=huge"): (2, "huge is no size: give SIZE=mini, class, apples or full."),
        ("run", "--args='a"): (2, "ARGS cannot be split into words (No closing quotation): close the quotation mark."),
        ("run", "--run=a/b"): (2, "The run's name 'a/b' may hold letters, digits, '.', '_' and '-' only."),
        ("run", "--weights=/none.h5"): (
            2,
            "The weights /none.h5 cannot be read (No such file or directory): give WEIGHTS=file.h5, imagenet or "
            "random.",
        ),
        ("upload",): (2, "No folder was named: give the one that holds a folder for each class, DATA=path."),
        ("upload", "--data=/none"): (
            2,
            "There is no folder /none: give the one that holds a folder for each class, DATA=path.",
        ),
    }
    for words, (code, sentence) in answers.items():
        assert operator.refused(code, *words) == sentence


def test_ssh_and_logs_reach_every_host(operator: Operator) -> None:
    process = operator.begin("ssh", "--host=worker-1")
    assert process.wait(30) == 0
    done = operator.type("logs")
    [folder] = (operator.checkout / "logs").iterdir()
    assert str(folder) in done.out
    assert f"Run {TORN}: 300 of 300 pictures" in (folder / "master" / f"orchard-run-{TORN}.log").read_text()
    assert "registered with master spark://" in (folder / "worker-2" / "spark-worker.log").read_text()
    assert list((folder / "worker-1" / "work").rglob("stderr"))
    victim = operator.host("worker-2")
    faults.cut_power(victim)
    said = operator.refused(5, "logs")
    assert re.fullmatch(r"No logs came from worker-2 \(.*\): those of the other hosts are in .*\.", said), said
    victim.start()
    victim.wait_until_ready()
    wait_until(lambda: operator.alive() == 2, "both workers to be back", 90)
