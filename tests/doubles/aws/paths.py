"""Where the double is asked for what is no AWS API: its faults, and the address that a caller is seen at."""

# The access key of whoever keeps the hosts in step: what AWS does to its customers is not done to it.
KEEPER = "AKIAORCHARDKEEPER"

# In the user agent of the double's own scheduler, which calls on behalf of a schedule.
SCHEDULER = "orchard-double-scheduler"

FAULTS_PATH = "/_faults"
LATENESS_PATH = "/_lateness"
RECLAIM_PATH = "/_reclaim"
CHECKIP_PATH = "/_checkip"
FIRED_PATH = "/_fired"
