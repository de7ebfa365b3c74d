"""The operator's side: Fabric tasks that make, use and take away a cluster. Nothing here imports `pipeline`."""
