"""What holds of a run whatever struck it: the calm run's rows, its features to the bit, and a whole folder."""

import io
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pyarrow.parquet as pq

from tests.sandbox.chaos.hands import Hands
from tests.sandbox.rehearsal.environment import ROOT

Row = tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """A run's rows: the features' bytes of each path and label, paths that come twice, and the pictures without."""

    features: dict[Row, bytes]
    twice: list[str]
    errors: list[tuple[str, str]]


def outcome(hands: Hands, run: str) -> Outcome:
    """Read back what the run left in the bucket."""
    tables = [pq.read_table(io.BytesIO(hands.read(key))) for key in hands.written(run)]
    rows = [row for table in tables for row in table.select(["path", "label", "features"]).to_pylist()]
    features = {(row["path"], row["label"]): repr(row["features"]).encode() for row in rows}
    seen = Counter(row["path"] for row in rows)
    errors = pq.read_table(io.BytesIO(hands.read(f"runs/{run}/errors.parquet"))).to_pylist()
    twice = [path for path, times in seen.items() if times > 1]
    return Outcome(features, twice, sorted((row["path"], row["reason"]) for row in errors))


def differences(run: Outcome, calm: Outcome) -> list[str]:
    """What of the run is not as in the calm one, in sentences; empty where nothing is."""
    found = []
    if run.twice:
        found.append(f"{len(run.twice)} pictures have two rows: {run.twice[0]}.")
    if lost := sorted(set(calm.features) - set(run.features)):
        found.append(f"{len(lost)} pictures have lost their features: {lost[0][0]}.")
    if more := sorted(set(run.features) - set(calm.features)):
        found.append(f"{len(more)} pictures have features that had none: {more[0][0]}.")
    if other := [row for row in calm.features.keys() & run.features.keys() if calm.features[row] != run.features[row]]:
        found.append(f"{len(other)} pictures have other features: {sorted(other)[0][0]}.")
    if run.errors != calm.errors:
        found.append(f"errors.parquet has other rows ({len(run.errors)}) than in the calm run ({len(calm.errors)}).")
    return found


def not_whole(hands: Hands, run: str) -> list[str]:
    """What `python -m pipeline check` finds, empty where the run is whole."""
    check = [sys.executable, "-m", "pipeline", "check", f"s3://{hands.bucket}/runs/{run}"]
    done = subprocess.run(check, cwd=ROOT, env=dict(hands.environment), capture_output=True, text=True, check=False)
    return [f"check: {(done.stderr or done.stdout).strip()}"] if done.returncode else []
