"""Pictures through the network, decoded ahead of it: what the job's tasks and a Spark ML pipeline's have in common."""
