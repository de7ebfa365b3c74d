"""Counts the words in the pictures' names, folders included: which fruits are there, and how many of each?

make submit JOB=docs/examples/word_count.py
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

# Other pictures: make submit JOB=docs/examples/word_count.py ARGS='s3a://my-bucket/my-folder'
pictures = sys.argv[1] if len(sys.argv) > 1 else f"s3a://{os.environ['ORCHARD_BUCKET']}/pictures"
counted = f"{os.environ['ORCHARD_OUTPUT']}/words"

spark = SparkSession.builder.getOrCreate()

# Nothing but the paths is asked for, so that the pictures are listed, and not read.
files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(pictures).select("path")
names = files.select(sf.element_at(sf.split("path", "/"), -2).alias("name"))
words = names.select(sf.explode(sf.split(sf.lower("name"), "[^a-z]+")).alias("word")).where("word != ''")
words.groupBy("word").count().coalesce(1).write.csv(counted, header=True)

spark.read.csv(counted, header=True, inferSchema=True).orderBy(sf.desc("count"), "word").show(20)
spark.stop()
