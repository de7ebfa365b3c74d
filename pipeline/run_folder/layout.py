"""Where each thing of a run lies below its folder; the model's own files are `pipeline.pca.spark_ml`'s."""

# Of the folder as a whole, told in run.json and the list: 1 had the list in one table, and the parts in run.json.
FORMAT = 2
RECORD_KEY = "run.json"
INPUTS_KEY = "inputs.parquet"
INPUTS_FOLDER = "inputs"
CLASSES_KEY = "classes.parquet"
PARTS_KEY = "parts.parquet"
ERRORS_KEY = "errors.parquet"
CSV_KEY = "pca.csv"
CSV_FOLDER = "pca_csv"
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


def inputs_part_key(part: int) -> str:
    """A part of the list of pictures."""
    return f"{INPUTS_FOLDER}/part-{part:05d}.parquet"


def csv_key(task: int) -> str:
    """The projection part of a task as CSV, where the whole is more than one file should hold."""
    return f"{CSV_FOLDER}/part-{task:05d}.csv.gz"
