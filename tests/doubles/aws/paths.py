"""Where the double is asked for what is no AWS API: its faults, and the address that a caller is seen at."""

FAULTS_PATH = "/_faults"
LATENESS_PATH = "/_lateness"
RECLAIM_PATH = "/_reclaim"
CHECKIP_PATH = "/_checkip"
