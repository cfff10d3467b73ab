"""What differs between where the pipeline runs: the values of each profile, all in one place.

A profile names only what differs from the defaults; the file and the environment come after it.
"""

from collections.abc import Mapping
from typing import Final

DEFAULT_PROFILE: Final = "development"

# Section, then setting. How records are judged (`rules`) and the bounds of a batch are the same everywhere: what was
# rehearsed is what runs, and an accountant's figures do not depend on the machine.
PROFILES: Final[Mapping[str, Mapping[str, Mapping[str, str | int | float]]]] = {
    "production": {
        # Lanes bound how many workers can share the load, and are not easily changed once there are records.
        # Three replicas: one broker may be down for maintenance while another one fails.
        "kafka": {"lanes": 64, "replication_factor": 3},
        # Orchestrators send SIGKILL 30 s after SIGTERM: 25 leave time to close. Monitoring looks at a port it knows.
        "worker": {"shutdown_grace_seconds": 25, "metrics_port": 9400},
    },
    "staging": {
        # Production in small: replicas and shutdown as there, a quarter of the lanes.
        "kafka": {"lanes": 16, "replication_factor": 3},
        "worker": {"shutdown_grace_seconds": 25, "metrics_port": 9400},
        # A rehearsal is where one looks closely.
        "log": {"level": "debug"},
    },
    # One machine and one broker: the defaults.
    "development": {},
}
