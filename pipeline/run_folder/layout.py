"""Where each thing of a run lies below its folder; the model's own files are `pipeline.pca.spark_ml`'s."""

RECORD_KEY = "run.json"
INPUTS_KEY = "inputs.parquet"
ERRORS_KEY = "errors.parquet"
CSV_KEY = "pca.csv"
REPORT_KEY = "report.html"
ATTEMPTS_KEY = "attempts.json"
FEATURES_FOLDER = "features"
PCA_FOLDER = "pca"


def feature_key(task: int) -> str:
    """The features part of a task."""
    return f"{FEATURES_FOLDER}/part-{task:05d}.parquet"


def pca_key(task: int) -> str:
    """The projection part of a task."""
    return f"{PCA_FOLDER}/part-{task:05d}.parquet"
