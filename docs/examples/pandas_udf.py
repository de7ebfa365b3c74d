"""Takes each picture's size and average colour by a pandas UDF, from S3 to S3.

make submit JOB=docs/examples/pandas_udf.py
"""

import io
import os
import sys

import numpy as np
import pandas as pd
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

# Other pictures: make submit JOB=docs/examples/pandas_udf.py ARGS='s3a://my-bucket/my-folder'
pictures = sys.argv[1] if len(sys.argv) > 1 else f"s3a://{os.environ['ORCHARD_BUCKET']}/pictures"
output = f"{os.environ['ORCHARD_OUTPUT']}/colours"

# Before any UDF: its type is read by Spark.
spark = SparkSession.builder.getOrCreate()


@sf.pandas_udf("width int, height int, red double, green double, blue double")
def look(contents: pd.Series) -> pd.DataFrame:
    """Runs in Python on the workers, for some thousand pictures at a time."""
    rows = []
    for content in contents:
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        rows.append((*picture.size, *np.asarray(picture).mean(axis=(0, 1))))
    return pd.DataFrame(rows, columns=["width", "height", "red", "green", "blue"])


files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(pictures)
label = sf.element_at(sf.split("path", "/"), -2).alias("label")
# Written first and then read: whatever comes next, the UDF has run once for each picture.
files.select("path", label, look("content").alias("look")).select("path", "label", "look.*").write.parquet(output)

spark.read.parquet(output).groupBy("label").agg(
    sf.count("*").alias("pictures"), *(sf.round(sf.avg(name)).alias(name) for name in ("red", "green", "blue"))
).orderBy("label").show(20, truncate=False)
spark.stop()
