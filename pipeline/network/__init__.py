"""MobileNetV2 from its weights to an engine that turns pixels into features."""
