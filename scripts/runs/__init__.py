"""Runs of the job on a cluster: sent, followed, listed, ended, fetched."""
