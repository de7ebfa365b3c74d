"""pipeline.features.running: decoded pictures through an engine."""

from collections import defaultdict

import numpy as np

from pipeline.features.running import Decoded, run_through
from pipeline.network.engine import engine_for
from pipeline.network.keras_model import Network
from pipeline.pixels.bad_pictures import BadPictureError, Reason

BAD = BadPictureError(Reason.EMPTY, "0 bytes")


def pictures_and_bad_ones(pattern: str) -> list[Decoded]:
    """Pixels of their own for each `p`, BAD for each `b`."""
    numbers = np.random.default_rng(3)
    return [BAD if one == "b" else numbers.integers(0, 256, (32, 32, 3), np.uint8) for one in pattern]


def test_rows_with_features_and_those_without_are_told_apart(tiny_network: Network) -> None:
    decoded = pictures_and_bad_ones("pbppbp")
    featured = run_through(engine_for(tiny_network), iter(decoded), 6, defaultdict(float))
    assert (featured.kept, featured.bad) == ([0, 2, 3, 5], {1: BAD, 4: BAD})
    alone = [engine_for(tiny_network).features(decoded[row][None])[0] for row in featured.kept]  # type: ignore[index]
    assert np.array_equal(featured.vectors, np.stack(alone))


def test_it_takes_as_many_as_it_is_asked_for_and_leaves_the_rest(tiny_network: Network) -> None:
    decoded = iter(pictures_and_bad_ones("ppppp"))
    first, rest = (run_through(engine_for(tiny_network), decoded, rows, defaultdict(float)) for rows in (3, 2))
    assert (len(first.vectors), len(rest.vectors)) == (3, 2)
    assert next(decoded, None) is None


def test_it_tells_the_seconds_of_waiting_and_of_the_network(tiny_network: Network) -> None:
    seconds: dict[str, float] = defaultdict(float)
    run_through(engine_for(tiny_network), iter(pictures_and_bad_ones("pp")), 2, seconds)
    assert set(seconds) == {"wait", "network"}
    assert min(seconds.values()) > 0
