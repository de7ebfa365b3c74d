"""Orchard's job: pictures to MobileNetV2 features to principal components, on Spark."""

__version__ = "0.1.0"
