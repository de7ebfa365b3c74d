"""The notebook's way: what students of the course run today, as it behaves.

`binaryFile` over the whole tree, 20 partitions, a pandas UDF that builds the network for each partition and stacks a
whole Arrow batch, features to Parquet; then vectors, `PCA`, transform, Parquet. Prints one JSON object with seconds.
"""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

COMPONENTS = 200


def start_spark() -> Any:
    """A session on all cores with the settings that such notebooks have."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    cores = os.cpu_count() or 1
    builder = SparkSession.builder.appName("notebook").master(f"local[{cores}]").config("spark.ui.enabled", "false")
    return builder.config("spark.driver.memory", "6g").getOrCreate()


def extract(spark: Any, images: str, weights_file: str, output: str) -> None:
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
    model.load_weights(weights_file)
    weights = spark.sparkContext.broadcast(model.get_weights())

    def preprocess(content: bytes) -> Any:
        picture = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224))
        return keras.applications.mobilenet_v2.preprocess_input(np.array(picture, np.float32))

    def features(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        own = network()
        own.set_weights(weights.value)
        for batch in batches:
            pixels = np.stack(batch.map(preprocess).to_list())
            yield pd.Series(list(own.predict(pixels, verbose=0)))

    extracted = pandas_udf(features, "array<float>")
    pictures = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(images)
    )
    labelled = pictures.withColumn("label", F.element_at(F.split("path", "/"), -2)).repartition(20)
    rows = labelled.select("path", "label", extracted("content").alias("features"))
    rows.write.mode("overwrite").parquet(f"{output}/features")


def reduce(spark: Any, output: str) -> float:
    """PCA of the features, to Parquet; the seconds of the fit alone."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector

    rows = spark.read.parquet(f"{output}/features")
    vectors = rows.withColumn("vector", array_to_vector("features"))
    started = time.perf_counter()
    model = PCA(k=COMPONENTS, inputCol="vector", outputCol="pca").fit(vectors)
    seconds = time.perf_counter() - started
    model.transform(vectors).select("path", "label", "pca").write.mode("overwrite").parquet(f"{output}/pca")
    return seconds


def main(extraction: Callable[[Any, str, str, str], None] = extract) -> None:
    """Do it with this way of extracting the features, and print the seconds of each phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    marks = [time.perf_counter()]
    spark = start_spark()
    marks.append(time.perf_counter())
    extraction(spark, options.images, options.weights, options.output)
    marks.append(time.perf_counter())
    fit = reduce(spark, options.output)
    marks.append(time.perf_counter())
    spark.stop()
    start, features, pca = (end - begin for begin, end in pairwise(marks))
    print(json.dumps({"start": start, "features": features, "pca_fit": fit, "write": pca - fit}))


if __name__ == "__main__":
    main()
