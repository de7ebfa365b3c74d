"""Programs that run on a host, sent there as text: they import what the host's environment has and nothing of ours."""
