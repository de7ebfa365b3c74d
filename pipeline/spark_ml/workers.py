"""How a function and the network get to Spark's workers, in a session of this process and through Spark Connect."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pipeline
from pipeline.features.carrying import Parcel

Mapping = Callable[[Iterator[Any]], Iterable[Any]]


def context_of(session: Any) -> Any | None:
    """The session's SparkContext; None through Spark Connect, whose context is in another process."""
    from pyspark.errors import PySparkAttributeError

    try:
        return session.sparkContext
    except PySparkAttributeError:
        return None


def key_of(session: Any) -> Any:
    """What tells this session's executors from another's: a stopped context takes its broadcasts along."""
    context = context_of(session)
    return session.session_id if context is None else context.applicationId


def share(session: Any, parcel: Parcel) -> Callable[[], bytes]:
    """Have the parcel brought to each executor once; returns what reads it there.

    By a broadcast, or through Spark Connect as an artifact of the session: a function that held it would take it along
    with each look at the data.
    """
    context = context_of(session)
    if context is not None:
        broadcast = context.broadcast(parcel.data)
        return lambda: broadcast.value
    name = f"orchard-network-{parcel.name}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(parcel.data)
        session.addArtifacts(str(file), file=True)
    return _reader_of_artifact(name)


def _reader_of_artifact(name: str) -> Callable[[], bytes]:
    def read() -> bytes:
        from pathlib import Path

        from pyspark import SparkFiles

        return Path(SparkFiles.get(name)).read_bytes()

    return read


def featurizing(name: str, read: Callable[[], bytes], column: int, made: tuple[str, str], invalid: str) -> Mapping:
    """What a worker does with its batches. It names nothing of this package before the package can be found there.

    A checkout lies in no site-packages, and a session that somebody else has made knows nothing of it.
    """
    checkout = str(Path(pipeline.__file__).parents[1])

    def run(batches: Iterator[Any]) -> Iterable[Any]:
        import sys

        if checkout not in sys.path:
            sys.path.append(checkout)
        from pipeline.features.arrow import with_features
        from pipeline.features.carrying import unpack

        return with_features(batches, unpack(name, read), column, made, invalid)

    return run
