"""The words of the command line: commands, options, and their defaults as `pipeline.settings` has them."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from pipeline.errors import InputError
from pipeline.job.session import default_master
from pipeline.network import keras_model
from pipeline.network.imagenet import IMAGENET
from pipeline.settings import (
    CSV_KINDS,
    DECODE_WAYS,
    ENGINES,
    MOST_FETCHES,
    ORIENTATIONS,
    PRECISIONS,
    RunOptions,
    RunSettings,
)

WEIGHTS_HELP = "the network's weights: a Keras file of yours, Keras's own, or random ones; default: %(default)s"
COUNT_HELP = f"how many components; default: {RunSettings.components}"
ENGINE_HELP = "what runs the network; tensorflow is the slower reference; default: %(default)s"
PRECISION_HELP = "numbers within the network; bf16 is quicker on some processors, and drifts; default: %(default)s"
SIDE_HELP = "width and height that pictures are scaled to; default: %(default)s"
DECODE_HELP = "fast reads large JPEGs at a smaller scale, for nearly the same features; default: %(default)s"
TURN_HELP = "photos as EXIF says they are held, or as they are stored; default: %(default)s"
BAD_HELP = "more unreadable pictures than this end the run; default: %(default)s"
MASTER_HELP = "Spark's master; default: all cores of this machine"
PORT_HELP = "port of this machine; default: one that is free"
CSV_HELP = "the components as CSV: one file, parts, or none; default: one file up to 1,000,000 rows, parts beyond"
FETCHES_HELP = "pictures that a task reads at once, more where S3 is far away; default: %(default)s"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence and where the help is. Options have one spelling."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands, whose namespace has `command` and that command's options. It raises InputError."""
    about = "Pictures to MobileNetV2 features to principal components."
    parser = _Parser(prog="python -m pipeline", description=about)
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND", parser_class=_Parser)
    running = _command(commands, "run", "do the job: features, PCA, report")
    running.add_argument("--images", required=True, metavar="URI", help="folder of the pictures, one folder a class")
    _add_run_options(running)
    demo = _command(commands, "demo", "the job on this machine, with pictures of its own where none are given")
    demo.add_argument("--images", metavar="URI", help="your own pictures instead of the demo's")
    demo.add_argument("--photos", action="store_true", help="draw large photos as phones make them, not small pictures")
    _add_run_options(demo)
    report = _command(commands, "report", "write report.html of a run again")
    report.add_argument("run", metavar="RUN_URI")
    check = _command(commands, "check", "verify a finished run: parts, counts, sums, model")
    check.add_argument("run", metavar="RUN_URI")
    check.add_argument("--quick", action="store_true", help="records and sizes of all parts, and a few parts whole")
    up = _command(commands, "upload", "copy a folder's pictures to S3: only what is missing or different")
    up.add_argument("folder", metavar="FOLDER")
    up.add_argument("target", metavar="s3://BUCKET/PREFIX")
    down = _command(commands, "download", "copy objects of S3 to a folder: only what is missing or different")
    down.add_argument("source", metavar="s3://BUCKET/PREFIX")
    down.add_argument("folder", metavar="FOLDER")
    down.add_argument(
        "--leave", nargs="+", default=(), metavar="PREFIX", help="leave keys that begin so where they are"
    )
    history = _command(
        commands, "history", "Spark's own pages of jobs that have ended, by their event logs, until Ctrl-C"
    )
    history.add_argument("sources", nargs="+", metavar="LOGS_URI", help="a folder of event logs, or single logs in S3")
    history.add_argument("--port", type=_whole(0, 65535), default=0, metavar="N", help=PORT_HELP)
    packing = _command(commands, "pack", "pack pictures into Parquet shards, which --images takes, too")
    packing.add_argument("source", metavar="SOURCE_URI", help="the pictures, as for run --images")
    packing.add_argument("target", metavar="TARGET_URI", help="where the pack is made")
    return parser


def _command(commands: Any, name: str, does: str) -> _Parser:
    parser: _Parser = commands.add_parser(name, help=does, description=does)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, metavar="URI", help="where the run's folder is made")
    parser.add_argument("--weights", default=IMAGENET, metavar="FILE|imagenet|random", help=WEIGHTS_HELP)
    size = parser.add_mutually_exclusive_group()
    # No default here: argparse would not see that 200 beside --variance was given and not taken from it.
    count = _whole(1, keras_model.FEATURES)
    size.add_argument("--components", type=count, metavar="K", help=COUNT_HELP)
    size.add_argument("--variance", type=_share, metavar="SHARE", help="as many components as explain this share")
    parser.add_argument("--engine", choices=ENGINES, default=RunSettings.engine, help=ENGINE_HELP)
    parser.add_argument("--precision", choices=PRECISIONS, default=RunSettings.precision, help=PRECISION_HELP)
    sizes, pixels = _whole(keras_model.SMALLEST_SIZE, keras_model.LARGEST_SIZE), RunSettings.image_size
    parser.add_argument("--image-size", type=sizes, default=pixels, metavar="PIXELS", help=SIDE_HELP)
    parser.add_argument("--decode", choices=DECODE_WAYS, default=RunSettings.decode, help=DECODE_HELP)
    parser.add_argument("--orientation", choices=ORIENTATIONS, default=RunSettings.orientation, help=TURN_HELP)
    named = RunSettings.classes
    parser.add_argument("--classes", nargs="+", default=named, metavar="GLOB", help="only classes of these names")
    some = "only N pictures, spread over the classes"
    parser.add_argument("--limit", type=_whole(1), default=RunSettings.limit, metavar="N", help=some)
    seed = RunSettings.sample_seed
    parser.add_argument("--sample-seed", type=int, default=seed, metavar="N", help="which N: default %(default)s")
    bad = RunOptions.max_bad
    parser.add_argument("--max-bad", type=_share, default=bad, metavar="SHARE", help=BAD_HELP)
    fetches = _whole(1, MOST_FETCHES)
    parser.add_argument("--fetches", type=fetches, default=RunOptions.fetches, metavar="N", help=FETCHES_HELP)
    parser.add_argument("--csv", choices=CSV_KINDS, default=RunOptions.csv, help=CSV_HELP)
    parser.add_argument("--run-id", metavar="NAME", help="the run's name; default: the time")
    parser.add_argument("--resume", action="store_true", help="go on with the run --run-id")
    parser.add_argument("--master", default=default_master(), metavar="URL", help=MASTER_HELP)
    parser.add_argument("--no-report", dest="report", action="store_false", help="leave report.html out")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            wanted = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise argparse.ArgumentTypeError(f"give a whole number {wanted}, not {text}")
        return value

    whole_number.__name__ = "whole number"
    return whole_number


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"give a share from 0 to 1, not {text}")
    return value
