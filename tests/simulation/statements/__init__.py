"""Each statement of a worker, and of the oracle, on tables in memory: what its SQL says, said again in Python.

`test_contract_database.py` holds them against PostgreSQL: the same calls must give the same answers, and leave the same
tables.
"""

from tests.simulation.statements import balances, events, lanes, oracle, outbox, properties
from tests.simulation.statements.registry import HANDLERS, STAGED, Handler, Moment

__all__ = ["HANDLERS", "STAGED", "Handler", "Moment", "balances", "events", "lanes", "oracle", "outbox", "properties"]
