"""The fitted model in Spark ML's own format, written without a Spark job and read by `PCAModel.load`."""

import json
import time

import numpy as np
import pyarrow as pa

from pipeline.pca.fit import PcaModel
from pipeline.storage.base import Storage
from pipeline.storage.parquet import parquet_bytes, parquet_table

FOLDER = "pca_model"
MEAN_KEY = f"{FOLDER}/mean.json"
_UID = "PCA_orchard"
_CONVENTION = (
    "pca = (features - mean) @ pc, as scikit-learn does; Spark's PCAModel.transform subtracts no mean, "
    "so its output is ours plus the constant mean @ pc."
)


def _spark_type(name: str, python: str, fields: list[dict[str, object]]) -> dict[str, object]:
    return {
        "type": "udt",
        "class": f"org.apache.spark.ml.linalg.{name}",
        "pyClass": f"pyspark.ml.linalg.{python}",
        "sqlType": {"type": "struct", "fields": fields},
    }


def _field(name: str, kind: object, nullable: bool) -> dict[str, object]:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": {}}


def _array(kind: str) -> dict[str, object]:
    return {"type": "array", "elementType": kind, "containsNull": False}


# Spark 4.3's schemas of a matrix and a vector column, as it stores them beside the Parquet schema.
_MATRIX = _spark_type(
    "MatrixUDT",
    "MatrixUDT",
    [
        _field("type", "byte", False),
        _field("numRows", "integer", False),
        _field("numCols", "integer", False),
        _field("colPtrs", _array("integer"), True),
        _field("rowIndices", _array("integer"), True),
        _field("values", _array("double"), True),
        _field("isTransposed", "boolean", False),
    ],
)
_VECTOR = _spark_type(
    "VectorUDT",
    "VectorUDT",
    [
        _field("type", "byte", False),
        _field("size", "integer", True),
        _field("indices", _array("integer"), True),
        _field("values", _array("double"), True),
    ],
)
_DENSE = 1


def _arrow_list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=False))


def _data(model: PcaModel) -> pa.Table:
    rows, columns = model.components.shape
    matrix = pa.struct(
        [
            pa.field("type", pa.int8(), False),
            pa.field("numRows", pa.int32(), False),
            pa.field("numCols", pa.int32(), False),
            pa.field("colPtrs", _arrow_list(pa.int32())),
            pa.field("rowIndices", _arrow_list(pa.int32())),
            pa.field("values", _arrow_list(pa.float64())),
            pa.field("isTransposed", pa.bool_(), False),
        ]
    )
    vector = pa.struct(
        [
            pa.field("type", pa.int8(), False),
            pa.field("size", pa.int32()),
            pa.field("indices", _arrow_list(pa.int32())),
            pa.field("values", _arrow_list(pa.float64())),
        ]
    )
    dense_matrix = {
        "type": _DENSE,
        "numRows": rows,
        "numCols": columns,
        "values": model.components.ravel(order="F"),
        "isTransposed": False,
    }
    dense_vector = {"type": _DENSE, "values": model.explained_variance_ratio}
    schema = {"type": "struct", "fields": [_field("pc", _MATRIX, True), _field("explainedVariance", _VECTOR, True)]}
    table = pa.table({"pc": pa.array([dense_matrix], matrix), "explainedVariance": pa.array([dense_vector], vector)})
    return table.replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": json.dumps(schema)})


def save(model: PcaModel, run: Storage, spark_version: str) -> None:
    """Write `pca_model/` into the run: Spark's files, and the mean vector with the convention beside them."""
    metadata = {
        "class": "org.apache.spark.ml.feature.PCAModel",
        "timestamp": int(time.time() * 1000),
        "sparkVersion": spark_version,
        "uid": _UID,
        "paramMap": {"inputCol": "features", "outputCol": "pca", "k": model.components.shape[1]},
        "defaultParamMap": {"outputCol": f"{_UID}__output"},
    }
    mean = {"convention": _CONVENTION, "mean": model.mean.tolist()}
    run.write(f"{FOLDER}/data/part-00000.parquet", parquet_bytes(_data(model)))
    run.write(f"{FOLDER}/data/_SUCCESS", b"")
    run.write(f"{FOLDER}/metadata/part-00000", json.dumps(metadata).encode() + b"\n")
    run.write(f"{FOLDER}/metadata/_SUCCESS", b"")
    run.write(MEAN_KEY, json.dumps(mean).encode())


def load(run: Storage) -> PcaModel:
    """Read it back. Raises OSError, KeyError or ValueError where it is not whole."""
    row = parquet_table(run.read(f"{FOLDER}/data/part-00000.parquet")).to_pylist()[0]
    matrix = row["pc"]
    components = np.array(matrix["values"]).reshape(matrix["numRows"], matrix["numCols"], order="F")
    mean = np.array(json.loads(run.read(MEAN_KEY))["mean"])
    return PcaModel(mean, components, np.array(row["explainedVariance"]["values"]))
