"""The local stack: real PostgreSQL, Kafka and Valkey as processes, from packages, all under one folder.

Light here, because every command asks where the servers are:

endpoints(directory)                       where a running stack answers, without asking it

What starts and stops it is in the modules:

stack.up(config) -> Endpoints              start what is missing; idempotent
stack.status(config)                       what each part is doing
stack.down(config, purge_data)             stop; with `purge_data` also forget
temporary.temporary_stack(directory)       a stack for tests, which dies with its owner even on SIGKILL
"""

from pipeline.stack.config import Endpoints, StackConfig
from pipeline.stack.record import endpoints

__all__ = ["Endpoints", "StackConfig", "endpoints"]
