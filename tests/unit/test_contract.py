"""What the job and the operator's side both spell, and neither may import of the other: each word compared once."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from io import StringIO
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

import keep_in_bucket
import own_job as launcher
from orchard_keeper import aws as keepers_aws
from orchard_keeper import keeper, work
from orchard_keeper import ledger as keepers_ledger
from orchard_keeper.commands import Commands
from orchard_keeper.ends import Limits
from orchard_keeper.ledger import Account, Machine, Whose
from orchard_keeper.ledger import Rates as KeepersRates
from orchard_keeper.state import State, Store
from pipeline import errors
from pipeline import progress as narration
from pipeline.arguments import make_parser
from pipeline.errors import ExitCode
from pipeline.job import history as jobs_history
from pipeline.job import session
from pipeline.job.phases import application_name
from pipeline.network import imagenet
from pipeline.pca import spark_ml
from pipeline.pictures import listing
from pipeline.pixels import bounds as picture_bounds
from pipeline.process import daemon
from pipeline.run_folder import inputs, layout
from pipeline.run_folder.record import COMPLETE, RunRecord
from pipeline.settings import CSV_KINDS, ENGINES, PRECISIONS, RANDOM, RUN_ID, RunSettings, new_run_id
from scripts import console
from scripts import errors as operator_errors
from scripts.aws import bucket
from scripts.handin import links, pictures, run_facts, share
from scripts.healing import beside
from scripts.hosts.keeper import Ends
from scripts.kept import history, notebooks
from scripts.money import bounds, ledger
from scripts.money.prices import Rates
from scripts.runs import at_work, attach, estimate, own_job, progress, results, submission, systemd_unit, table

ROOT = Path(__file__).resolve().parents[2]
RECORD = RunRecord(
    run_id="mine", status=COMPLETE, exit_status=0, settings={}, weights="random", master="local",
    counts={"listed": 300, "features": 298, "errors": 2, "kept": 0}, seconds={"total": 12.5},
    ended_at="2026-01-02T03:04:05+00:00",
)  # fmt: skip


def as_stored(record: RunRecord) -> dict[str, Any]:
    """run.json as it comes out of the bucket."""
    stored: dict[str, Any] = json.loads(json.dumps(asdict(record)))
    return stored


def test_a_run_s_name() -> None:
    assert bucket.RUN_ID.pattern == RUN_ID.pattern
    for name in (new_run_id(), submission.new_run_id()):
        assert RUN_ID.fullmatch(name)
        assert datetime.strptime(name, "%Y%m%d-%H%M%S").year >= 2026


HOSTILE = "a\x1b]0;owned\x07\r[bold]\x9b2J\u202egpj.\u2066\u2028\udc80\x7f caf\u00e9 \u82f9\u679c\t1\n2"


def test_no_character_that_a_terminal_obeys_is_printed_by_either_side() -> None:
    shown = narration.visible(HOSTILE)
    assert shown == console.visible(HOSTILE)
    assert shown == (
        "a\\x1b]0;owned\\x07\\x0d[bold]\\x9b2J\\u202egpj.\\u2066\\u2028\\udc80\\x7f caf\u00e9 \u82f9\u679c\t1\n2"
    )


def test_the_names_in_a_run_s_folder() -> None:
    assert bucket.record_key("mine") == f"{bucket.RUNS}/mine/{layout.RECORD_KEY}"
    assert bucket.inputs_key("mine") == f"{bucket.RUNS}/mine/{layout.INPUTS_KEY}"
    assert results.REPORT == layout.REPORT_KEY
    assert set(results._NAMES) == {layout.REPORT_KEY, layout.CSV_KEY, layout.RECORD_KEY, layout.ERRORS_KEY}
    assert set(results.LEFT_THERE) == {f"{layout.FEATURES_FOLDER}/", layout.INPUTS_KEY, layout.ATTEMPTS_KEY} | {
        f"{layout.INPUTS_FOLDER}/"
    }
    assert results.CSV_PARTS == share.CSV_PARTS == f"{layout.CSV_FOLDER}/"
    assert share.OWN_NAME.fullmatch(layout.csv_key(7))


def test_what_is_handed_in_of_a_run_s_folder() -> None:
    assert (share.CSV, share.ERRORS) == (layout.CSV_KEY, layout.ERRORS_KEY)
    assert (f"{layout.PCA_FOLDER}/", f"{spark_ml.FOLDER}/") == (share.COMPONENTS, share.MODEL)
    assert share.OWN_NAME.fullmatch(layout.pca_key(7))
    assert share.OWN_NAME.fullmatch(spark_ml.MEAN_KEY)
    facts = run_facts.facts_of("mine", as_stored(replace(RECORD, cores=8, hosts=["a", "b"], cpu="c")))
    assert facts
    assert (facts.is_whole, facts.counts["features"], facts.seconds) == (True, 298, {"total": 12.5})
    assert (facts.cores, facts.hosts, facts.cpu, facts.weights) == (8, ("a", "b"), "c", "random")
    settings = RunSettings("s3://b/pictures", "0").as_json()
    found = run_facts.facts_of("mine", as_stored(replace(RECORD, settings=settings)))
    assert found
    assert found.images == "s3://b/pictures"


def test_the_columns_of_a_run_s_list_and_the_pictures_that_a_browser_shows() -> None:
    shown = [f"Apple/1{suffix}" for suffix in links.PICTURES]
    assert [path for path in shown if not re.search(listing._PICTURE_KEY, path)] == []
    written: dict[str, bytes] = {}

    class InMemory:
        def write(self, key: str, data: bytes) -> None:
            written[key] = data

    rows = pa.table({"path": shown, "label": ["Apple"] * len(shown), "bytes": [1] * len(shown)})
    settings = RunSettings("s3://b/pictures", "0")
    inputs.write_list(InMemory(), [rows], len(shown), Counter(Apple=len(shown)), settings)
    assert list(pictures._rows(written[layout.INPUTS_KEY], 2)) == [(shown[1], "Apple"), (shown[5], "Apple")]
    assert pictures.ABOUT == inputs._ABOUT
    of_format_1 = io.BytesIO()
    pq.write_table(rows, of_format_1)
    assert list(pictures._rows(of_format_1.getvalue(), 2)) == [(shown[1], "Apple"), (shown[5], "Apple")]


def test_what_the_operator_reads_of_run_json() -> None:
    row = table.row("mine", None, as_stored(RECORD), None, None, now=0.0)
    assert (row.state, row.done, row.total, row.bad, row.seconds) == (COMPLETE, 298, 300, 2, 12.5)


def test_the_kinds_of_csv() -> None:
    assert submission.CSV_KINDS == CSV_KINDS
    for kind in CSV_KINDS:
        words = submission.split_arguments(submission.with_csv("--limit 3", kind))
        assert make_parser().parse_args(["run", "--images", "p", "--output", "o", *words]).csv == kind


def test_the_newest_run_is_known_by_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket.Bucket, "run_ids", lambda _: ["mine", "yours"])
    monkeypatch.setattr(bucket.Bucket, "read_many", lambda *_: [as_stored(RECORD), None])
    assert results.newest(bucket.Bucket("fruit", "eu-west-3")) == "mine"


def test_a_run_s_event_log_is_found_by_the_names_under_which_it_was_kept() -> None:
    assert history.CALLED[0].format("mine") == application_name("mine")
    for title in (application_name("mine"), "../up", ".", "a/b c", "\u82f9\u679c" * 30, "half \ud83c"):
        assert history.title_key(title) == keep_in_bucket.title_key(title)
        assert not {"/", ".."} & {history.title_key(title), *history.title_key(title)}
    assert (history.EVENTS, history.NAMES) == (keep_in_bucket.EVENTS, keep_in_bucket.NAMES)
    assert f"{history.EVENTS}/{jobs_history.NAMES_FOLDER}" == f"{history.NAMES}/"
    assert history.LOG == jobs_history.LOG
    assert keep_in_bucket.LOG.fullmatch(f"{history.LOG}app-1/events_1_app-1")
    assert f"{keep_in_bucket.NOTEBOOKS}/" == notebooks.NOTEBOOKS


@pytest.mark.parametrize("size", submission.SIZES)
def test_the_words_of_a_size_are_the_job_s_options(size: str) -> None:
    words = ["run", "--images", "s3://b/pictures", "--output", "s3://b/runs", "--run-id", "mine", "--weights", "random"]
    make_parser().parse_args([*words, *submission.SIZES[size], "--master", "spark://m:7077", "--resume"])


def test_where_a_person_s_own_job_lies_and_how_it_ended(tmp_path: Path) -> None:
    for file in (launcher.CODE, launcher.LOG, launcher.RECORD):
        assert launcher.key("mine", file) == bucket.job_key("mine", file)
    assert (own_job.CODE, own_job.LOG, own_job.RECORD) == (launcher.CODE, launcher.LOG, launcher.RECORD)
    assert f"{launcher.OUTPUT}/" == own_job.OUTPUT
    assert bucket.environment_key("d") == f"{launcher.ENVIRONMENTS}/d.tar.gz"
    about = {"name": "mine", "began_at": 1000.0, "price_per_hour": 9.0, "currency": "USD"}
    written = json.loads(json.dumps(launcher.record(about, 137, True, 1040.0)))
    assert own_job._parse_record(written) == own_job.JobRecord(own_job.OUT_OF_MEMORY, 137, 40.0)
    assert (launcher.STORAGE, launcher.STOPPED) == (ExitCode.STORAGE, systemd_unit.ENDED_BY_REQUEST)


def test_what_an_estimate_knows_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimate.PICTURE.pattern == listing._PICTURE_KEY
    known = (estimate.ENGINE, estimate.PRECISION, table.DECODE)
    assert (RunSettings.engine, RunSettings.precision, RunSettings.decode) == known
    assert {engine for engine, _ in estimate.PER_CORE} == set(ENGINES)
    assert {precision for _, precision in estimate.PER_CORE} == set(PRECISIONS)
    settings = RunSettings("s3://b/pictures", "0", classes=("Apple*", "Pear"), limit=7, engine="tensorflow").as_json()
    words = ["--limit", "7", "--classes", "Apple*", "Pear", "--engine", "tensorflow", "--variance", "0.9"]
    asked = estimate.asked_of(words)
    assert [asked.limit, list(asked.classes), asked.engine] == [settings[k] for k in ("limit", "classes", "engine")]
    # A run like it tells its pace by its record.
    seconds = {"total": 30.0, "features": 20.0}
    mine = replace(RECORD, settings=settings, cores=8, images_per_second=15.0, seconds=seconds)
    monkeypatch.setattr(bucket.Bucket, "run_ids", lambda _: ["mine"])
    monkeypatch.setattr(bucket.Bucket, "read_many", lambda *_: [as_stored(mine)])
    pace = estimate.pace_of(bucket.Bucket("fruit", "eu-west-3"), asked, 8, 300)
    assert pace == estimate.Pace(15.0, 10.0, "as in run mine")


def test_what_hosts_are_told_of_python_workers_and_weights() -> None:
    roles = ROOT / "ansible" / "roles"
    settings = yaml.safe_load((roles / "spark" / "vars" / "main.yml").read_text())["spark_settings"]
    assert settings["spark.python.daemon.module"] == session.PYTHON_DAEMON == daemon.__name__
    assert yaml.safe_load((roles / "orchard" / "vars" / "main.yml").read_text())["orchard_first_to_end"] == daemon.SCORE
    environment = (roles / "spark" / "templates" / "environment.j2").read_text()
    assert f"{imagenet.KEPT}=s3://{{{{ cluster_bucket }}}}/{bucket.WEIGHTS}\n" in environment


def test_weights_that_are_no_file() -> None:
    assert (submission.IMAGENET, submission.RANDOM) == (imagenet.IMAGENET, RANDOM)


def test_exit_codes_mean_the_same_on_both_sides_or_are_one_side_s_alone() -> None:
    job = {code.value for code in ExitCode}
    operator = {
        kind.exit_code for kind in (operator_errors.OperatorError, *operator_errors.OperatorError.__subclasses__())
    }
    assert job & operator == {1, 2, 130}
    assert operator_errors.InputError.exit_code == errors.InputError.exit_code
    assert operator_errors.StoppedError.exit_code == errors.InterruptedRunError.exit_code
    assert systemd_unit.ENDED_BY_REQUEST == ExitCode.INTERRUPTED


def test_each_way_in_which_a_run_can_end_has_its_next_step() -> None:
    ends = {ExitCode.INPUT, ExitCode.TOO_MANY_BAD, ExitCode.SPARK, ExitCode.STORAGE, ExitCode.INTERRUPTED}
    assert set(attach.NEXT_STEP) == ends


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[str]]:
    """The job's lines on a terminal or elsewhere, by a clock that is a second further each time it is looked at."""
    for name in ("FIRST_SECONDS", "EVERY_SECONDS"):
        monkeypatch.setattr(narration, name, 0.0)

    def lines(terminal: bool) -> list[str]:
        monkeypatch.setattr(narration, "time", SimpleNamespace(perf_counter=count().__next__))
        sink = StringIO()
        narrator = narration.Narrator(Console(file=sink, force_terminal=terminal, highlight=False, width=200))
        with narrator.phase("list", "Listing the pictures") as listing:
            listing.text = "Listed 300 pictures in 12 classes"
        narrator.say("Run mine is complete already; nothing is left to do.")
        narrator.lost("worker-2", "worker-2 was lost.")
        with narrator.pictures("features", "Features", 20_622) as counting:
            counting.report(503, 2)
        return sink.getvalue().splitlines()

    return lines


def test_what_the_job_says_is_shown_as_a_terminal_would_have_shown_it(said: Callable[[bool], list[str]]) -> None:
    listed, note, lost, _, ended = (progress.read(line) for line in said(False))
    assert listed == "    1.0 s  Listed 300 pictures in 12 classes"
    assert note == "Run mine is complete already; nothing is left to do."
    assert ended.endswith("images/s")
    assert (lost,) == progress.losses(said(False)) == ("worker-2 was lost.",)
    on_a_terminal = "\n".join(said(True))
    assert listed in on_a_terminal
    assert note in on_a_terminal
    error = f"{narration.PREFIX}The bucket fruit cannot be used."
    assert progress.read(error) == error


def test_how_far_the_job_is_comes_over_number_by_number(said: Callable[[bool], list[str]]) -> None:
    line = said(False)[3]
    event, read = json.loads(line.removeprefix(narration.PREFIX)), progress.read(line)
    assert (read.doing, read.done, read.total) == ("Features", 503, 20_622)
    assert (read.things, read.unit) == ("pictures", "images/s")
    assert read.bad == event["bad"] == 2
    assert (read.rate, read.left) == (event["rate"], event["seconds_left"])
    assert progress.last_progress([line, "words"]) == read


def test_the_metrics_that_the_keeper_writes_terraform_shows_and_plan_prices() -> None:
    written = set(keeper.metrics(State(), keeper.Look(), 0.0))
    monitoring = (ROOT / "terraform" / "monitoring.tf").read_text()
    charts = re.findall(r'" *= \[((?:"\w+"(?:, )?)+)\]', monitoring)
    assert {name for names in charts for name in re.findall(r'"(\w+)"', names)} == written
    assert f'namespace = "{keepers_aws.NAMESPACE}"' in monitoring
    assert len(written) == bounds.METRICS


def test_a_kernel_that_computes_is_known_by_the_keepers_word(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = {"id": "k", "execution_state": work.EXECUTING, "last_activity": "2026-01-02T03:04:05Z"}
    monkeypatch.setattr(work, "is_active", lambda _: True)
    monkeypatch.setattr(work, "from_jupyter", lambda _, path: [kernel] if path == "kernels" else [])
    [activity] = work.of_kernels({"units": {"jupyter": "jupyter"}}, 1.0)
    assert activity.what.startswith(at_work.KERNEL)


def test_a_command_on_a_laptop_is_known_by_the_keepers_word() -> None:
    for activity, task in zip(work.of_holds(dict.fromkeys(beside.MAKERS, 2.0), 1.0), beside.MAKERS, strict=True):
        assert activity.what.startswith(beside.HELD_BY.format(task))


def test_what_the_keeper_tells_the_laptop_and_the_laptop_the_keeper(tmp_path: Path) -> None:
    commands = Commands(Store(tmp_path, tmp_path), Limits(30, 12), Whose("c", "r"), tmp_path / "status.json")
    ends = Ends(**commands.ends(0.0))
    assert (ends.ends_kind, ends.is_silent(0.0)) == ("idle", True)
    assert {field.name for field in fields(KeepersRates)} == {field.name for field in fields(Rates)}


def test_the_ledger_s_entries_are_read_as_they_are_written() -> None:
    account, began = Account(), datetime(2026, 2, 1, tzinfo=UTC).timestamp()
    account.rates = KeepersRates(0.1, None, None, 0.004, 0.005, 0.005, 0.0004, "USD")
    account.runs["r"] = {"began_at": "2026-02-01T00:10:00+00:00", "ended_at": None, "code": None, "pictures": 300}
    account.add(began + 3600, [Machine("i-1", "master", "m6i.large", False, True, True, began)], True, began)
    written = keepers_ledger.entry(Whose("c", "r"), account, began, began + 3600, "idle: nothing at work")
    key = keepers_ledger.key("c", began)

    class InMemory:
        def keys(self, _: str) -> list[str]:
            return [key]

        def read_many(self, _: list[str]) -> list[Any]:
            return [json.loads(json.dumps(written))]

    [read] = ledger.entries(InMemory(), "c")  # type: ignore[arg-type]
    assert (read.work_hours, read.idle_hours, read.why) == (1.0, 0.0, "idle: nothing at work")
    assert read.usd
    assert read.usd.work == pytest.approx(0.1)
    assert read.runs[0].pictures == 300
    assert ledger.key_of(read) == key


def test_the_memory_that_a_picture_may_take() -> None:
    given = yaml.safe_load((ROOT / "ansible" / "roles" / "spark" / "defaults" / "main.yml").read_text())
    assert given["spark_python_memory_mb"] << 20 == picture_bounds.MAX_BYTES
