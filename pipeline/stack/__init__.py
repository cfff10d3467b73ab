"""The local stack: real PostgreSQL, Kafka and Valkey as processes, from packages, all under one folder.

up(config) -> Endpoints      start what is missing; idempotent
status(config)               what each part is doing
down(config, purge_data)     stop; with `purge_data` also forget
endpoints(directory)         where a running stack answers, without asking it
temporary_stack(directory)   a stack for tests, which dies with its owner even on SIGKILL
"""

from pipeline.stack.config import Endpoints, StackConfig
from pipeline.stack.record import endpoints
from pipeline.stack.stack import PartStatus, down, status, up
from pipeline.stack.temporary import temporary_stack

__all__ = [
    "Endpoints",
    "PartStatus",
    "StackConfig",
    "down",
    "endpoints",
    "status",
    "temporary_stack",
    "up",
]
