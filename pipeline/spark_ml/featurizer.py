"""The Transformer: a column of pictures' bytes to MobileNetV2's features."""

from dataclasses import dataclass, field
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.util import MLReadable, MLWritable
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from pipeline.errors import InputError
from pipeline.features.carrying import Parcel, pack
from pipeline.network.keras_model import FEATURES, Network, prepare_network
from pipeline.network.weights import find_weights
from pipeline.settings import ENGINES
from pipeline.spark_ml.params import DEFAULTS, FeaturizerParams
from pipeline.spark_ml.saving import FeaturizerReader, FeaturizerWriter
from pipeline.spark_ml.workers import featurizing, key_of, share

# As Spark ML says how wide a vector is: a step that asks would else have the first row computed.
_WIDTH = {"ml_attr": {"num_attrs": FEATURES}}


@dataclass
class _Prepared:
    """A network for these settings, and what reads it on the workers of each session that it was brought to."""

    network: Network
    parcel: Parcel
    readers: dict[Any, Any] = field(default_factory=dict)


class MobileNetV2Featurizer(FeaturizerParams, Transformer, MLReadable, MLWritable):  # type: ignore[misc]
    """Pictures in a column of bytes to a column of 1,280 features each, for `pyspark.ml.Pipeline`.

    It works on frames of Spark's `binaryFile` and on any other with such a column, in a session of this process and
    through Spark Connect. Features are the job's own to the bit, as a vector; `errorCol` says of a picture that has
    none why ("truncated: ..."), and is null otherwise. PCA takes no nulls: before it, use handleInvalid="skip". It
    reads its input twice, and would have the network run twice: `persist()` the features, or write them first.

    The network is prepared on the driver and brought to each executor once. `weights` is `imagenet`, `random`, or a
    Keras file's path or s3a:// address. What is saved holds the network: a loaded one gives the same features.
    Raises InputError for what a parameter may not be, and when it is used: for weights that are not this network's,
    an input column that holds no bytes, an output column that is there already.
    """

    def __init__(
        self,
        *,
        inputCol: str = DEFAULTS["inputCol"],  # noqa: N803  the names are Spark ML's
        outputCol: str = DEFAULTS["outputCol"],  # noqa: N803
        errorCol: str = DEFAULTS["errorCol"],  # noqa: N803
        imageSize: int = DEFAULTS["imageSize"],  # noqa: N803
        precision: str = DEFAULTS["precision"],
        weights: str = DEFAULTS["weights"],
        handleInvalid: str = DEFAULTS["handleInvalid"],  # noqa: N803
    ) -> None:
        super().__init__()
        self._prepared: dict[tuple[str, int, str], _Prepared] = {}
        self._setDefault(**DEFAULTS)
        self._set(inputCol=inputCol, outputCol=outputCol, errorCol=errorCol, handleInvalid=handleInvalid)
        self._set(imageSize=imageSize, precision=precision, weights=weights)

    def setParams(self, **params: Any) -> "MobileNetV2Featurizer":  # noqa: N802
        """Set parameters by name, as the constructor takes them."""
        self._set(**params)
        return self

    def network(self) -> Network:
        """The network of these parameters, prepared at the first call. Raises InputError."""
        return self._of_parameters().network

    def _of_parameters(self) -> _Prepared:
        key = self._key()
        if key not in self._prepared:
            weights, size, precision = key
            self._keep(prepare_network(find_weights(weights), ENGINES[0], precision, size))
        return self._prepared[key]

    def _key(self) -> tuple[str, int, str]:
        return self.getWeights(), self.getImageSize(), self.getPrecision()

    def _keep(self, network: Network) -> None:
        self._prepared[self._key()] = _Prepared(network, pack(network))

    def _transform(self, dataset: Any) -> Any:
        given, session = dataset.schema, dataset.sparkSession
        column = self._checked(given, session.conf.get("spark.sql.caseSensitive") == "true")
        made = self.getOutputCol(), self.getErrorCol()
        new = [StructField(made[0], VectorUDT(), True, _WIDTH), StructField(made[1], StringType(), True)]
        prepared = self._of_parameters()
        if (key := key_of(session)) not in prepared.readers:
            prepared.readers[key] = share(session, prepared.parcel)
        mapping = featurizing(prepared.parcel.name, prepared.readers[key], column, made, self.getHandleInvalid())
        return dataset.mapInArrow(mapping, StructType([*given.fields, *new]))

    def _checked(self, given: StructType, is_case_sensitive: bool) -> int:
        """The place of the input column. Raises InputError where it cannot be one, or an output column is there.

        Names are compared as Spark compares them, which the setting spark.sql.caseSensitive says.
        """

        def seen(*names: str) -> list[str]:
            return list(names) if is_case_sensitive else [name.lower() for name in names]

        (source,), there = seen(self.getInputCol()), seen(*given.names)
        if there.count(source) != 1 or not isinstance(given[place := there.index(source)].dataType, BinaryType):
            raise InputError(
                f"There is no column {self.getInputCol()} of bytes among {', '.join(given.names)}; name another as "
                "inputCol."
            )
        made = self.getOutputCol(), self.getErrorCol()
        new = seen(*made)
        if taken := [name for name, one in zip(made, new, strict=True) if [*there, *new].count(one) != 1]:
            raise InputError(f"A column {taken[0]} is there already; name another as outputCol or errorCol.")
        return place

    def write(self) -> FeaturizerWriter:
        """What saves it, network included."""
        return FeaturizerWriter(self)

    @classmethod
    def read(cls) -> FeaturizerReader:
        """What loads it, network included."""
        return FeaturizerReader(cls)
