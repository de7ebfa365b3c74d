"""Fits a pipeline from pictures to principal components, with the job's own network in it, and keeps it in S3.

make submit JOB=docs/examples/featurizer.py
"""

import argparse
import os

from pyspark.ml import PipelineModel
from pyspark.ml.feature import PCA
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from pipeline.spark_ml import MobileNetV2Featurizer

# Others: make submit JOB=docs/examples/featurizer.py ARGS='--weights s3a://my-bucket/my.h5 --components 20'
parser = argparse.ArgumentParser()
parser.add_argument("--pictures", help="an s3a:// folder; by default the bucket's pictures")
parser.add_argument("--weights", default="imagenet", help="imagenet, random, or an s3a:// address of a Keras file")
parser.add_argument("--components", type=int, default=50)
options = parser.parse_args()
pictures = options.pictures or f"s3a://{os.environ['ORCHARD_BUCKET']}/pictures"
output = os.environ["ORCHARD_OUTPUT"]

spark = SparkSession.builder.getOrCreate()
# By default binaryFile packs 32 small files into a task, and beginning a task costs as much as some pictures: 256.
spark.conf.set("spark.sql.files.openCostInBytes", "512k")

files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(pictures)
label = sf.element_at(sf.split("path", "/"), -2).alias("label")
featurizer = MobileNetV2Featurizer(weights=options.weights)

# Written first and then read: PCA reads its input twice, and the network is to run once for each picture.
featurizer.transform(files.select("path", label, "content")).drop("content").write.parquet(f"{output}/features")
features = spark.read.parquet(f"{output}/features")
features.where("error is not null").select("path", "error").show(truncate=False)

pca = PCA(k=options.components, inputCol="features", outputCol="pca").fit(features.where("error is null"))
print(f"{options.components} components explain {pca.explainedVariance.toArray().sum():.1%} of the variance")

# The whole way in one model. Loaded elsewhere it takes pictures' bytes, and needs no weights but its own.
model = PipelineModel(stages=[featurizer.setParams(handleInvalid="skip"), pca])
model.write().overwrite().save(f"{output}/model")
PipelineModel.load(f"{output}/model").transform(files).select("path", "pca").show(5)
spark.stop()
