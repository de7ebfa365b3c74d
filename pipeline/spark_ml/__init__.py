"""What a Spark ML pipeline can have of Orchard."""

from pipeline.spark_ml.featurizer import MobileNetV2Featurizer

__all__ = ["MobileNetV2Featurizer"]
