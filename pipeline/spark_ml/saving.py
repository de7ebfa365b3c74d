"""Saving the featurizer as Spark ML saves its own: metadata, and the network beside them."""

import hashlib
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

from pipeline.errors import InputError
from pipeline.network.keras_model import Network
from pipeline.settings import ENGINES
from pipeline.spark_ml.workers import context_of
from pipeline.storage.base import join

_METADATA, _NETWORK = "metadata", "network"
_DIGEST = "networkSha256"
_SCHEMA = "graph binary, constants binary"


def _digest(graph: bytes, constants: bytes) -> str:
    return hashlib.sha256(graph + constants).hexdigest()


class FeaturizerWriter(MLWriter):  # type: ignore[misc]  # pyspark is not typed here
    """Writes `metadata` as Spark ML does, and `network`, a Parquet file of one row."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self._instance = instance

    def save(self, path: str) -> None:
        """Write it there; what is there already is refused by Spark, unless `overwrite()` was called."""
        network, session = self._instance.network(), self.sparkSession
        more = {_DIGEST: _digest(network.graph, network.constants)}
        metadata = DefaultParamsWriter._get_metadata_to_save(self._instance, session, more)
        mode = "overwrite" if self.shouldOverwrite else "error"
        # Through Spark Connect there is no such call: what another model has left beside these two stays.
        if self.shouldOverwrite and context_of(session) is not None:
            self._handleOverwrite(path)
        # The metadata come first: every saved model has some, and by these it is refused before anything is written.
        session.createDataFrame([(metadata,)], "value string").coalesce(1).write.mode(mode).text(join(path, _METADATA))
        row = session.createDataFrame([(network.graph, network.constants)], _SCHEMA)
        row.coalesce(1).write.mode("overwrite").parquet(join(path, _NETWORK))


class FeaturizerReader(MLReader):  # type: ignore[misc]
    """Reads what FeaturizerWriter wrote."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self._kind = kind

    def load(self, path: str) -> Any:
        """The featurizer with its network. Raises InputError where that is not the one that was saved."""
        session = self.sparkSession
        metadata = DefaultParamsReader.loadMetadata(path, session)
        instance = self._kind()
        instance._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(instance, metadata)
        graph, constants = _saved_network(session, path)
        if _digest(graph, constants) != metadata.get(_DIGEST):
            raise InputError(f"The network saved at {path} is not the one that its metadata tell; save it again.")
        instance._keep(Network(ENGINES[0], instance.getPrecision(), instance.getImageSize(), graph, constants))
        return instance


def _saved_network(session: Any, path: str) -> tuple[bytes, bytes]:
    try:
        row = session.read.parquet(join(path, _NETWORK)).first()
    except AnalysisException:  # no such folder, or no file in it
        row = None
    if row is None:
        raise InputError(f"There is no whole network at {path}; save it again, with overwrite().")
    graph, constants = map(bytes, row)
    return graph, constants
