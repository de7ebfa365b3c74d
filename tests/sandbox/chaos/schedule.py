"""What strikes which run, where and when: drawn from a seed, the same for the same seed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

# They take others back, which chaos does itself.
MENDERS = frozenset({"power-on", "link-up"})
# What AWS takes back is never a master: that one is no spot instance.
SPOT = frozenset({"rebalance", "spot-loss", "spot-notice"})
LOST_FOR_GOOD = "spot-loss"
SECONDS = (5, 15, 30, 60, 90)
VALUES = {"RATE": ("0.1", "0.3", "0.5"), "+2h": ("+2h", "-30m")}


@dataclass(frozen=True)
class Blow:
    """A fault as it is typed, struck when so many parts are written and taken back `seconds` later at the latest."""

    words: tuple[str, ...]
    part: int
    seconds: int

    def __str__(self) -> str:
        return f"{' '.join(self.words)} at part {self.part}"


@dataclass(frozen=True)
class Field:
    """What may be struck: each fault's words by its name, the cluster's hosts (master first), its instances' types."""

    faults: Mapping[str, str]
    hosts: Sequence[str]
    types: Sequence[str]


def draw(
    seed: int, field: Field, runs: int, parts: int, most: int | None = None, longest: int = SECONDS[-1]
) -> list[list[Blow]]:
    """For each run its blows in the order of their parts: every fault once, or `most` of them, dealt to the runs.

    A run writes `parts` parts; a fault lasts `longest` seconds at most. Raises ValueError for a fault whose words
    nobody can draw.
    """
    rng = Random(seed)
    names = sorted(set(field.faults) - MENDERS)
    rng.shuffle(names)
    dealt = [names[:most][start::runs] for start in range(runs)]
    lasting = [seconds for seconds in SECONDS if seconds <= longest]
    return [_blows(rng, field, chosen, parts, lasting) for chosen in dealt]


def _blows(rng: Random, field: Field, names: Sequence[str], parts: int, lasting: Sequence[int]) -> list[Blow]:
    at = sorted(rng.sample(range(1, parts), len(names)))
    blows, gone = [], set[str]()
    for name, part in zip(names, at, strict=True):
        hosts = [host for host in field.hosts[name in SPOT :] if host not in gone]
        words = [_word(rng, word, hosts, field.types) for word in field.faults[name].split() if word[0] != "["]
        if name == LOST_FOR_GOOD:
            gone.update(words)
        blows.append(Blow((name, *words), part, rng.choice(lasting)))
    return blows


def _word(rng: Random, word: str, hosts: Sequence[str], types: Sequence[str]) -> str:
    choices = {**VALUES, "HOST": hosts, "TYPE|ZONE": types}.get(word)
    # one|two|three: a fault lists them itself.
    if choices is None and re.fullmatch(r"[a-z0-9-]+(\|[a-z0-9-]+)+", word):
        choices = word.split("|")
    if choices is None:
        raise ValueError(f"chaos draws no {word}: give it values in {__name__}")
    return rng.choice(choices)
