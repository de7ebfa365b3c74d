"""Decodes mutation after mutation and holds one invariant: a picture or a row, in time, in a slot's memory, no program.

A process decodes, and another watches it: a decoder may take its process along, or never come back.
"""

import faulthandler
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.pixels.bad_pictures import BadPictureError
from pipeline.pixels.bounds import MAX_BYTES
from pipeline.pixels.decode import decode
from pipeline.pixels.heif import DECODER
from tests.job.fuzz.mutations import mutated, seeds

SIDE = 64
SECONDS_EACH = 10.0
PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
PICTURE = "picture"


@dataclass
class Outcome:
    """What became of many mutations: how many of each kind, what escaped, the slowest and the highest memory."""

    kinds: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def cases(self) -> int:
        """How many were decoded."""
        return self.kinds.total()


def fuzz(seed: int, seconds: float, processes: int = 1) -> Outcome:
    """Decode for so long, each process its share of the numbers. The same seed has the same cases in the same order."""
    context = multiprocessing.get_context("fork")
    seeds()  # made once, before the processes part
    whole, watched = Outcome(), []
    for first in range(processes):
        at, answers = context.Value("q", first), context.SimpleQueue()
        process = context.Process(target=_work, args=(seed, first, processes, seconds, at, answers), daemon=True)
        process.start()
        watched.append((process, at, answers))
    for process, at, answers in watched:
        if outcome := _outcome(process, at, answers):
            _add(whole, outcome)
        else:
            process.kill()
            process.join()
            how = f"ended by signal {-process.exitcode}" if process.exitcode != -signal.SIGKILL else "never came back"
            whole.escapes.append(f"case {at.value} of seed {seed}: its process {how}")
    return whole


def _outcome(process: multiprocessing.Process, at: Any, answers: Any) -> Outcome | None:
    """The process's answer; None when it has ended without, or stands at one case."""
    last, since = at.value, time.monotonic()
    while answers.empty():
        process.join(0.1)
        if at.value != last:
            last, since = at.value, time.monotonic()
        if (not process.is_alive() and answers.empty()) or time.monotonic() - since > 3 * SECONDS_EACH:
            return None
    found: Outcome = answers.get()
    return found


def _add(whole: Outcome, part: Outcome) -> None:
    whole.kinds += part.kinds
    whole.escapes += part.escapes
    whole.slowest_seconds = max(whole.slowest_seconds, part.slowest_seconds)
    whole.peak_bytes = max(whole.peak_bytes, part.peak_bytes)


def _work(seed: int, first: int, step: int, seconds: float, at: Any, answers: Any) -> None:
    warnings.simplefilter("ignore")
    faulthandler.disable()
    # libtiff complains of each case, past Python.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    outcome, number, started = Outcome(), first, time.monotonic()
    begun: list[str] = []
    sys.addaudithook(lambda event, words: begun.append(event) if event in PROGRAMS and not is_ours(words) else None)
    # A fork has its parent's peak for its own: from here on it counts anew (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    base = _peak()
    while time.monotonic() - started < seconds:
        at.value = number
        name, data = mutated(seed, number)
        one_case(outcome, f"case {number} of seed {seed}, once {name}", data)
        if begun:
            outcome.escapes.append(f"case {number} of seed {seed}, once {name}: it started a program ({begun.pop()})")
        outcome.peak_bytes = _peak() - base
        if outcome.peak_bytes > MAX_BYTES:
            outcome.escapes.append(f"case {number} of seed {seed}, once {name}: {outcome.peak_bytes // 2**20} MiB")
            break
        number += step
    answers.put(outcome)


def is_ours(words: tuple[Any, ...]) -> bool:
    """Whether it is the process that decodes HEIC, which may begin."""
    return tuple(words[1:2]) == (list(DECODER),)


def one_case(outcome: Outcome, what: str, data: bytes) -> None:
    """Decode it, and count what became of it."""
    began = time.perf_counter()
    try:
        pixels = decode(data, SIDE)
        kind = PICTURE
        if pixels.shape != (SIDE, SIDE, 3) or pixels.dtype != "uint8":
            outcome.escapes.append(f"{what}: pixels of {pixels.shape} {pixels.dtype}")
    except BadPictureError as error:
        kind = error.reason.value
    except Exception as error:  # the very thing that must not be
        kind = "escaped"
        outcome.escapes.append(f"{what}: {type(error).__name__}: {error}")
    took = time.perf_counter() - began
    outcome.kinds[kind] += 1
    outcome.slowest_seconds = max(outcome.slowest_seconds, took)
    if took > SECONDS_EACH:
        outcome.escapes.append(f"{what}: {took:.1f} s")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def keep(escapes: Sequence[str], seed: int, folder: Path) -> None:
    """Write the bytes of what escaped, to be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    for escape in escapes:
        number = int(escape.split()[1])
        (folder / f"{seed}-{number}").write_bytes(mutated(seed, number)[1])
