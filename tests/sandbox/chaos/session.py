"""`make chaos`: a cloud, a calm run, and for each seed some runs under the faults that it draws."""

import random
import time
from collections.abc import Sequence
from typing import IO

from tests.doubles.aws.double import ACCOUNT
from tests.sandbox import runs
from tests.sandbox.chaos import invariant, schedule
from tests.sandbox.chaos.hands import Hands, Typed
from tests.sandbox.chaos.trial import Trial
from tests.sandbox.faults.catalogue import FAULTS
from tests.sandbox.machine import SandboxError
from tests.sandbox.rehearsal import environment, story
from tests.sandbox.rehearsal.server import Live, live_cloud

RUNS = 4  # for one seed
CALM = "calm"
WORDS = ("--size=full", "--args=--components 20")
HOSTS = ("master", "worker-1", "worker-2")
TYPES = ("m6i.large", "c7a.2xlarge")


def chaos(seed: int | None, seeds: int, data: str, weights: str) -> int:
    """0 where each run of each seed from that one on, or from one by chance, left what the calm run did, else 1.

    A run that one of its blows did not strike counts as one that did not.
    """
    first = random.randrange(10_000) if seed is None else seed
    story.end_as_with_ctrl_c()
    words = [*WORDS, f"--weights={weights or 'random'}"]
    try:
        with live_cloud() as live:
            hands = hands_on(live)
            _say(f"Seed {first}" + (f" to {first + seeds - 1}" if seeds > 1 else "") + f"; {hands.log} has every word.")
            hands.must("up")
            hands.must("upload", f"--data={data or story.drawn(live.folder)}")
            hands.must("run", f"--run={CALM}", *words)
            calm = invariant.outcome(hands, CALM)
            found = [line for number in range(first, first + seeds) for line in _seed(hands, number, words, calm)]
            hands.must("down")
    except KeyboardInterrupt:
        print("\nStopped.")
        return story.STOPPED
    print("\n".join(found) if found else "Nothing was lost.")
    return int(bool(found))


def _seed(hands: Hands, seed: int, words: Sequence[str], calm: invariant.Outcome) -> list[str]:
    """Its runs; gives what was lost by them, and what did not strike them."""
    field = schedule.Field({name: fault.words for name, fault in FAULTS.items()}, HOSTS, TYPES)
    drawn = schedule.draw(seed, field, RUNS, len(hands.written(CALM)))
    lost = []
    for number, blows in enumerate(drawn, 1):
        run, began = f"seed-{seed}-{number}", time.monotonic()
        _say(f"{run}: {'; '.join(map(str, blows))}")
        trial = Trial(hands, run, words, blows, _say)
        try:
            trial.endure()
            wrong = [*invariant.differences(invariant.outcome(hands, run), calm), *invariant.not_whole(hands, run)]
        except SandboxError as error:
            wrong = [str(error)]
        wrong += trial.missed
        lost += [f"{run} (seed {seed}): {sentence}" for sentence in wrong]
        _say(f"  {'whole' if not wrong else ' '.join(wrong)} after {time.monotonic() - began:.0f} s")
        hands.mend()
    return lost


def _say(line: str) -> None:
    print(line, flush=True)


def hands_on(live: Live) -> Hands:
    """A person at the rehearsal's cloud; what its commands say goes to a log that outlives it."""

    def begin(words: Sequence[str], log: IO[str]) -> Typed:
        return story.begun([str(environment.ROOT / ".venv/bin/fab"), "-r", "scripts", *words], live, log)

    log = runs.home() / "chaos.log"
    log.write_text("")
    bucket = f"orchard-rehearsal-{ACCOUNT}-{live.cloud.aws.region}"
    return Hands(live.cloud, bucket, begin, reaching_s3(environment.outside(live.variables)), log)


def reaching_s3(variables: dict[str, str]) -> dict[str, str]:
    """With what the job itself needs for an S3 without TLS."""
    return variables | {"AWS_ENDPOINT_URL_S3": variables["AWS_ENDPOINT_URL"], "AWS_ALLOW_HTTP": "true"}
