"""The notebook's way: what students of the course run today, as it behaves.

`binaryFile` over the whole tree, 20 partitions, a pandas UDF that builds the network for each partition and stacks a
whole Arrow batch, features to Parquet; then vectors, `PCA`, transform, Parquet. Prints one JSON object with seconds.
"""

import argparse
import io
import json
import os
import time
from collections.abc import Iterator
from typing import Any


def start_spark() -> Any:
    """A session on all cores with the settings that such notebooks have."""
    from pyspark.sql import SparkSession

    cores = os.cpu_count() or 1
    builder = SparkSession.builder.appName("notebook").master(f"local[{cores}]").config("spark.ui.enabled", "false")
    return builder.config("spark.driver.memory", "6g").getOrCreate()


def extract(spark: Any, options: argparse.Namespace) -> None:
    """Features to Parquet."""
    import keras
    import numpy as np
    import pandas as pd
    from PIL import Image
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.functions import pandas_udf

    def network() -> Any:
        return keras.applications.MobileNetV2(include_top=False, pooling="avg", input_shape=(224, 224, 3), weights=None)

    model = network()
    model.load_weights(options.weights)
    weights = spark.sparkContext.broadcast(model.get_weights())

    def preprocess(content: bytes) -> Any:
        picture = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224))
        return keras.applications.mobilenet_v2.preprocess_input(np.array(picture, np.float32))

    @pandas_udf("array<float>")
    def features(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        own = network()
        own.set_weights(weights.value)
        for batch in batches:
            pixels = np.stack(batch.map(preprocess).to_list())
            yield pd.Series(list(own.predict(pixels, verbose=0)))

    pictures = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(options.images)
    )
    if options.limit:
        pictures = pictures.limit(options.limit)
    labelled = pictures.withColumn("label", F.element_at(F.split("path", "/"), -2)).repartition(20)
    rows = labelled.select("path", "label", features("content").alias("features"))
    rows.write.mode("overwrite").parquet(f"{options.output}/features")


def reduce(spark: Any, options: argparse.Namespace) -> None:
    """PCA of the features, to Parquet."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector

    rows = spark.read.parquet(f"{options.output}/features")
    vectors = rows.withColumn("vector", array_to_vector("features"))
    model = PCA(k=200, inputCol="vector", outputCol="pca").fit(vectors)
    model.transform(vectors).select("path", "label", "pca").write.mode("overwrite").parquet(f"{options.output}/pca")


def main() -> None:
    """Do it and print the seconds of each phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    seconds, started = {}, time.perf_counter()
    spark = start_spark()
    for name, phase in (("start", None), ("features", extract), ("pca", reduce)):
        if phase:
            phase(spark, options)
        seconds[name] = time.perf_counter() - started - sum(seconds.values())
    spark.stop()
    print(json.dumps({**seconds, "total": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
