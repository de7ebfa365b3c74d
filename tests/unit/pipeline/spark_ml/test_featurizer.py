"""pipeline.spark_ml.featurizer without Spark: parameters, and what is refused before anything is computed."""

import pytest
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from pipeline.errors import InputError
from pipeline.network.imagenet import IMAGENET
from pipeline.network.keras_model import Network
from pipeline.settings import RunSettings
from pipeline.spark_ml import MobileNetV2Featurizer
from pipeline.spark_ml import featurizer as module

BINARY_FILE = StructType(
    [StructField("path", StringType()), StructField("length", LongType()), StructField("content", BinaryType())]
)


def test_its_defaults_are_the_job_s() -> None:
    featurizer = MobileNetV2Featurizer()
    assert featurizer.getImageSize() == RunSettings.image_size
    assert featurizer.getPrecision() == RunSettings.precision
    assert featurizer.getWeights() == IMAGENET
    columns = featurizer.getInputCol(), featurizer.getOutputCol(), featurizer.getErrorCol()
    assert columns == ("content", "features", "error")
    assert featurizer.getHandleInvalid() == "keep"


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ({"imageSize": 20}, "imageSize is 20; it may be 32 to 1024 pixels."),
        ({"precision": "f16"}, "precision is 'f16'; it may be f32 or bf16."),
        ({"handleInvalid": "drop"}, "handleInvalid is 'drop'; it may be keep or skip or error."),
    ],
)
def test_what_a_parameter_may_not_be_is_refused_in_one_sentence(parameter: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        MobileNetV2Featurizer(**parameter)  # type: ignore[arg-type]
    assert str(refused.value) == said
    with pytest.raises(InputError):
        MobileNetV2Featurizer().setParams(**parameter)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ({"inputCol": "image"}, "There is no column image of bytes among path, length, content; name another"),
        ({"inputCol": "path"}, "There is no column path of bytes among"),
        ({"outputCol": "Length"}, "A column Length is there already"),
        ({"errorCol": "Features"}, "A column features is there already"),
        ({"outputCol": "length"}, "A column length is there already; name another as outputCol or errorCol."),
        ({"errorCol": "path"}, "A column path is there already"),
        ({"errorCol": "features"}, "A column features is there already"),
    ],
)
def test_columns_that_cannot_be_are_refused_in_one_sentence(parameter: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        MobileNetV2Featurizer(**parameter)._checked(BINARY_FILE, is_case_sensitive=False)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("name", ["content", "Content"])
def test_the_input_column_is_found_by_its_place(name: str) -> None:
    assert MobileNetV2Featurizer(inputCol=name)._checked(BINARY_FILE, is_case_sensitive=False) == 2


def test_where_spark_tells_cases_apart_names_are_compared_as_they_are() -> None:
    assert MobileNetV2Featurizer(outputCol="Path")._checked(BINARY_FILE, is_case_sensitive=True) == 2
    with pytest.raises(InputError, match="There is no column Content of bytes"):
        MobileNetV2Featurizer(inputCol="Content")._checked(BINARY_FILE, is_case_sensitive=True)


def test_the_network_is_prepared_once_for_the_same_parameters(
    tiny_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    monkeypatch.setattr(module, "prepare_network", lambda *given: prepared.append(given[3]) or tiny_network)
    featurizer = MobileNetV2Featurizer(weights="random", imageSize=32)
    copied = featurizer.copy()
    assert featurizer.network() is copied.network() is featurizer.network()
    featurizer.setParams(imageSize=64).network()
    assert prepared == [32, 64]
