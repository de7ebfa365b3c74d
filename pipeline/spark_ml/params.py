"""The featurizer's parameters: their names, what each may be, and its value by default."""

from collections.abc import Callable
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol

from pipeline.errors import InputError
from pipeline.features.arrow import ERROR, KEEP, SKIP
from pipeline.network.imagenet import IMAGENET
from pipeline.network.keras_model import LARGEST_SIZE, SMALLEST_SIZE
from pipeline.settings import IMAGENET_PIXELS, PRECISIONS

DEFAULTS: dict[str, Any] = {
    "inputCol": "content",
    "outputCol": "features",
    "errorCol": "error",
    "imageSize": IMAGENET_PIXELS,
    "precision": PRECISIONS[0],
    "weights": IMAGENET,
    "handleInvalid": KEEP,
}


def _one_of(name: str, allowed: tuple[str, ...]) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if value not in allowed:
            raise InputError(f"{name} is {value!r}; it may be {' or '.join(allowed)}.")
        return str(value)

    return convert


def _to_size(value: object) -> int:
    size: int = TypeConverters.toInt(value)
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(f"imageSize is {size}; it may be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels.")
    return size


def _param(name: str, doc: str, convert: Callable[[Any], Any] = TypeConverters.toString) -> Any:
    return Param(Params._dummy(), name, doc, convert)


class FeaturizerParams(HasInputCol, HasOutputCol):  # type: ignore[misc]  # pyspark is not typed here
    """Columns, the network, and what becomes of rows whose picture has no features."""

    errorCol = _param("errorCol", "the column that says why a picture has no features")  # noqa: N815
    imageSize = _param("imageSize", "width and height in pixels at which the network sees a picture", _to_size)  # noqa: N815
    precision = _param("precision", "the network's arithmetic: f32 or bf16", _one_of("precision", PRECISIONS))
    weights = _param("weights", "the network's weights: imagenet, random, or a Keras file's path or s3a:// address")
    handleInvalid = _param(  # noqa: N815
        "handleInvalid",
        "rows whose picture has no features: keep (a null and the reason), skip, or error",
        _one_of("handleInvalid", (KEEP, SKIP, ERROR)),
    )

    def getErrorCol(self) -> str:  # noqa: N802
        """The column that says why a picture has no features."""
        return str(self.getOrDefault(self.errorCol))

    def getImageSize(self) -> int:  # noqa: N802
        """Width and height in pixels at which the network sees a picture."""
        return int(self.getOrDefault(self.imageSize))

    def getPrecision(self) -> str:  # noqa: N802
        """The network's arithmetic."""
        return str(self.getOrDefault(self.precision))

    def getWeights(self) -> str:  # noqa: N802
        """The network's weights, as they were given."""
        return str(self.getOrDefault(self.weights))

    def getHandleInvalid(self) -> str:  # noqa: N802
        """What becomes of rows whose picture has no features."""
        return str(self.getOrDefault(self.handleInvalid))
