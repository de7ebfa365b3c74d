"""The command line: `python -m pipeline run | report | check | demo | upload | download | history | pack`."""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from rich.console import Console

from pipeline.arguments import make_parser
from pipeline.errors import ExitCode, InputError, InterruptedRunError, OrchardError, SparkError
from pipeline.job.history import listed, served
from pipeline.job.request import RunRequest
from pipeline.job.run import run
from pipeline.network.imagenet import IMAGENET
from pipeline.network.weights import Weights, find_weights
from pipeline.pictures.listing import is_picture
from pipeline.pictures.opening import open_pictures
from pipeline.pictures.pack_reader import INDEX_KEY, is_shard_key
from pipeline.pictures.pack_writer import pack
from pipeline.progress import PREFIX, Narrator, take_any_terminal, visible
from pipeline.run_folder.check import check_run
from pipeline.run_folder.layout import CSV_FOLDER, RECORD_KEY, REPORT_KEY
from pipeline.run_folder.record import RunRecord, read_record
from pipeline.run_folder.report import write_report
from pipeline.settings import CSV_PARTS, RANDOM, RunOptions, RunSettings, new_run_id
from pipeline.storage.base import join, some_of
from pipeline.storage.local import LocalStorage, full_disk_as_such
from pipeline.storage.opening import open_storage
from pipeline.storage.s3 import S3Storage
from pipeline.storage.transfer import Summary, download, upload

# Of a history's jobs; its own page has them all.
APPLICATIONS_NAMED = 3
# Of the demo's photos, which are fewer than its pictures.
PHOTOS_COMPONENTS = 20
DEMO_PICTURES_NOTE = "The pictures were drawn by the demo; they are no photographs."
RANDOM_WEIGHTS_NOTE = (
    "Keras's ImageNet weights could not be had, so the demo ran on random weights (fixed seed): "
    "the features mean nothing. Give real ones with WEIGHTS=<file>."
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code and puts the sentence for a failure on stderr."""
    started_at = time.time()
    take_any_terminal()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        options = make_parser().parse_args(arguments)
        options.process_started_at = started_at
        with full_disk_as_such():
            code = COMMANDS[options.command](options)
    except OrchardError as error:
        return _refuse(str(error), error.exit_code)
    except PermissionError as error:
        return _refuse(f"{error.filename}: {error.strerror}; ask for the right to use it.", ExitCode.INPUT)
    except KeyboardInterrupt:
        return _refuse("Interrupted.", ExitCode.INTERRUPTED)
    except Exception as error:  # nobody has thought of it: that is a fault of Orchard's own
        code = _refuse(
            f"{_in_one_line(error)}; this is a fault of Orchard's own: report the lines below.", ExitCode.FAULT
        )
        print(visible("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    return code


def _refuse(sentence: str, code: int) -> int:
    print(visible(f"{PREFIX}{sentence}"), file=sys.stderr)
    return code


def _say(line: str) -> None:
    print(visible(line))


def _in_one_line(error: Exception) -> str:
    """The error's type, and what it says of itself."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": .")


def _as_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> int:
    return _start(options, find_weights(options.weights), Narrator())


def _demo(options: argparse.Namespace) -> int:
    narrator, notes = Narrator(), []
    if options.images is None:
        from pipeline.pictures.demo_pictures import draw_photos, draw_pictures

        folder = open_storage(join(options.output, "demo-photos" if options.photos else "demo-pictures"))
        if not isinstance(folder, LocalStorage):
            raise InputError("The demo draws its pictures into a folder of this machine: give one with --output.")
        (draw_photos if options.photos else draw_pictures)(folder.root)
        if options.photos and options.components is None and options.variance is None:
            options.components = PHOTOS_COMPONENTS
        options.images = folder.uri
        notes.append(DEMO_PICTURES_NOTE)
    reasons = []
    try:
        weights = find_weights(options.weights)
    except InputError as error:
        if options.weights != IMAGENET:
            raise
        weights = find_weights(RANDOM)
        notes.append(RANDOM_WEIGHTS_NOTE)
        reasons.append(str(error))
    for sentence in (*notes, *reasons):
        narrator.say(sentence)
    return _start(options, weights, narrator, *notes)


def _start(options: argparse.Namespace, weights: Weights, narrator: Narrator, *notes: str) -> int:
    request = _request(options, weights, notes)
    try:
        record = run(request, narrator)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "Interrupted; the finished parts are kept. "
            f"Go on with the same command and --run-id {request.run_id} --resume."
        ) from None
    _print_summary(record, join(options.output, request.run_id))
    return ExitCode.FINE


def _request(options: argparse.Namespace, weights: Weights, notes: tuple[str, ...]) -> RunRequest:
    if options.resume and not options.run_id:
        raise InputError("--resume needs the run's name; give it with --run-id.")
    if options.precision == "bf16" and options.engine != "openvino":
        raise InputError("--precision bf16 is OpenVINO's; leave out --engine tensorflow.")
    settings = RunSettings(
        images=open_storage(options.images).uri,
        weights_sha256=weights.sha256,
        engine=options.engine,
        precision=options.precision,
        image_size=options.image_size,
        components=options.components or (RunSettings.components if options.variance is None else None),
        variance=options.variance,
        classes=tuple(options.classes),
        limit=options.limit,
        sample_seed=options.sample_seed,
        decode=options.decode,
        orientation=options.orientation,
    )
    return RunRequest(
        settings=settings,
        options=RunOptions(options.max_bad, options.fetches, options.resume, options.report, options.csv),
        weights=weights,
        output=options.output,
        run_id=options.run_id or new_run_id(),
        master=options.master,
        process_started_at=options.process_started_at,
        notes=notes,
    )


def _print_summary(record: RunRecord, uri: str) -> None:
    counts = record.counts
    for alarm in record.alarms:
        # Red on a terminal, and nothing but words elsewhere.
        Console(highlight=False).print(alarm, style="bold red", markup=False, soft_wrap=True)
    _say(f"Run {record.run_id}: {counts['features']:,} of {counts['listed']:,} pictures have features.")
    for sentence in record.of_pixels:
        _say(f"  {sentence}")
    for reason, count in record.error_reasons.items():
        _say(f"  {count:,} {reason} (see errors.parquet)")
    _say(f"  {record.components} components explain {record.explained_variance:.1%} of the variance.")
    _say(f"  {record.images_per_second:,.0f} images/s on {record.cores} cores, {record.seconds['total']:.0f} s in all.")
    folder = open_storage(uri)
    if record.csv == CSV_PARTS:
        _say(f"  The components as CSV are in {record.tasks:,} parts: {join(folder.uri, CSV_FOLDER)}")
    if folder.exists(REPORT_KEY):
        _say(f"Report: {join(folder.uri, REPORT_KEY)}")


def _report(options: argparse.Namespace) -> int:
    storage = open_storage(options.run)
    try:
        write_report(storage, read_record(storage))
    except FileNotFoundError as error:
        raise InputError(
            f"{options.run} holds no complete run ({error}); give the folder that {RECORD_KEY} lies in."
        ) from None
    _say(f"Report: {join(options.run, REPORT_KEY)}")
    return ExitCode.FINE


def _check(options: argparse.Namespace) -> int:
    faults = check_run(open_storage(options.run), is_quick=options.quick)
    for fault in faults:
        _say(fault)
    if not faults:
        quickly = ", as far as a quick look tells" if options.quick else ""
        _say(f"{options.run} is whole{quickly}.")
    return ExitCode.NOT_WHOLE if faults else ExitCode.FINE


def _upload(options: argparse.Namespace) -> int:
    folder, target = _ends("upload FOLDER s3://BUCKET/PREFIX", options.folder, options.target)
    summary = _copied(lambda: upload(folder, target, Narrator(), _is_uploaded))
    _say(summary.sentence("Uploaded", target.uri))
    return ExitCode.FINE


def _is_uploaded(key: str) -> bool:
    """Pictures, and a pack's own files."""
    return is_picture(key) or is_shard_key(key) or key == INDEX_KEY


def _download(options: argparse.Namespace) -> int:
    folder, source = _ends("download s3://BUCKET/PREFIX FOLDER", options.folder, options.source)
    summary = _copied(lambda: download(source, folder, Narrator(), options.leave))
    _say(summary.sentence("Downloaded", folder.uri))
    return ExitCode.FINE


def _history(options: argparse.Namespace) -> int:
    try:
        with served(options.sources, options.port, Narrator()) as server:
            applications = listed(server)
            for application in applications[:APPLICATIONS_NAMED]:
                end = "" if application.is_whole else " (its log ends before it did)"
                # A log is its writer's own word, and a name may have lines.
                _say(f"{some_of([application.name])}{end}: {server.page(application)}")
            if len(applications) != 1:
                _say(f"Spark history, {len(applications):,} jobs: {server.url}")
            _say("Ctrl-C closes it.")
            sys.stdout.flush()
            code = server.process.wait()
    except KeyboardInterrupt:
        _say("Closed.")
        return ExitCode.FINE
    raise SparkError(f"Spark's history server has ended (exit code {code}); start the same command again.")


def _pack(options: argparse.Namespace) -> int:
    source, target = open_pictures(options.source), open_storage(options.target)
    try:
        packing = pack(source, target, Narrator())
    except KeyboardInterrupt:
        raise InterruptedRunError("Interrupted; there is no pack yet. Start the same command again.") from None
    _say(packing.sentence(target.uri))
    return ExitCode.FINE


def _ends(usage: str, folder: str, bucket: str) -> tuple[LocalStorage, S3Storage]:
    """Both ends of a copy. Raises InputError where one is not of its kind."""
    ends = open_storage(folder), open_storage(bucket)
    if not isinstance(ends[0], LocalStorage):
        raise InputError(f"{folder} is no folder of this machine; write {usage}.")
    if not isinstance(ends[1], S3Storage):
        raise InputError(f"{bucket} is no address in S3; write {usage}.")
    return ends[0], ends[1]


def _copied(copy: Callable[[], Summary]) -> Summary:
    try:
        return copy()
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "Interrupted; what was copied is kept. Start the same command again for the rest."
        ) from None


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "demo": _demo,
    "report": _report,
    "check": _check,
    "upload": _upload,
    "download": _download,
    "history": _history,
    "pack": _pack,
}
