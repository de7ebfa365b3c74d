"""One run on Spark, from the list of pictures to run.json."""
