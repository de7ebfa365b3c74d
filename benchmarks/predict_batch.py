"""Spark's own way: `predict_batch_udf` with Keras, read by `binaryFile`; then Spark's PCA. Prints seconds as JSON."""

import io
from collections.abc import Callable
from typing import Any

from benchmarks.notebook_way import main as measure

BATCH = 64


def extract(spark: Any, images: str, weights_file: str, output: str) -> None:
    """Features to Parquet."""
    import numpy as np
    import pandas as pd
    from PIL import Image
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.types import ArrayType, FloatType

    def make_predict() -> Callable[[Any], Any]:
        import keras

        model = keras.applications.MobileNetV2(
            include_top=False, pooling="avg", input_shape=(224, 224, 3), weights=None
        )
        model.load_weights(weights_file)
        return lambda pixels: model.predict(pixels.astype(np.float32) / 127.5 - 1, verbose=0)

    def decoded(content: pd.Series) -> pd.Series:
        def pixels(data: bytes) -> Any:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224)), np.float32).ravel()

        return content.map(pixels)

    features = predict_batch_udf(
        make_predict, return_type=ArrayType(FloatType()), batch_size=BATCH, input_tensor_shapes=[[224, 224, 3]]
    )
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(BATCH))
    pictures = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true")
    rows = pictures.load(images)
    labelled = rows.withColumn("label", F.element_at(F.split("path", "/"), -2))
    pixels = labelled.select("path", "label", F.pandas_udf(decoded, "array<float>")("content").alias("pixels"))
    vectors = pixels.select("path", "label", features("pixels").alias("features"))
    vectors.write.mode("overwrite").parquet(f"{output}/features")


if __name__ == "__main__":
    measure(extract)
