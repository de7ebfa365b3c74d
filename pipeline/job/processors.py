"""The workers' processors: told apart in run.json, and at bf16 all of one kind.

At f32 the features of two kinds agree to some 1e-6; at bf16 each kind of processor has its own.
"""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError
from pipeline.job.session import run_job
from pipeline.network.engine import has_bf16
from pipeline.run_folder.record import cpu_name


@dataclass(frozen=True)
class Processor:
    """A host's processor: its name as the kernel gives it, and whether it computes at bf16."""

    host: str
    name: str
    has_bf16: bool


def ask_processors(context: Any, cores: int) -> list[Processor]:
    """The processors of the workers, each core asked once. Raises SparkError."""
    rdd = context.parallelize(range(cores), cores).mapPartitions(lambda _: [_own()])
    found: list[Processor] = run_job(context, rdd.collect)
    return found


def _own() -> Processor:
    return Processor(socket.gethostname(), cpu_name(), has_bf16())


def one_for_bf16(found: Sequence[Processor]) -> str:
    """The name of the processor that all have. Raises InputError where there are two kinds, or one without bf16."""
    for processor in found:
        if not processor.has_bf16:
            raise InputError(
                f"The processor of {processor.host} ({processor.name}) has no bf16 arithmetic; take f32 as precision."
            )
    kinds = by_name((processor.name, processor.host) for processor in found)
    if len(kinds) > 1:
        told = "; ".join(f"{name} on {', '.join(hosts)}" for name, hosts in kinds.items())
        raise InputError(
            f"The workers have processors of {len(kinds)} kinds, whose features differ at bf16 ({told}); take f32 as "
            "precision, or workers of one type."
        )
    return found[0].name


def other_processor(wanted: str, host: str, found: str) -> str:
    """Why a task is not done on this host."""
    return f"{host} has another processor ({found}) than this run at bf16 was begun on ({wanted})"


def check_same(run_id: str, begun_on: str, found: str) -> None:
    """Raise InputError where a run that one kind of processor is to do would go on with another."""
    # Of before this was kept, a run's list does not say.
    if begun_on and begun_on != found:
        raise InputError(
            f"Run {run_id} was begun at bf16 on workers with {begun_on}, and these have {found}; begin another run, or "
            "go on with workers of the first type."
        )


def by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The hosts of each processor, both sorted, of pairs of a processor's name and a host."""
    kinds: dict[str, set[str]] = {}
    for name, host in pairs:
        kinds.setdefault(name, set()).add(host)
    return {name: sorted(kinds[name]) for name in sorted(kinds)}
