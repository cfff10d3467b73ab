"""The clients of one simulated worker: what `pipeline.clients.ServerClients` is for a real one."""

from typing import Any

from pipeline.settings import Settings
from tests.simulation.broker import Broker
from tests.simulation.cache import Cache, SimulatedRedis
from tests.simulation.connection import SimulatedConnection, connect
from tests.simulation.database import Bounds, Database
from tests.simulation.kafka_consumer import SimulatedConsumer
from tests.simulation.kafka_producer import SimulatedProducer
from tests.simulation.process import Process


class SimulatedClients:
    """Everything that a worker reaches, by the calls of its process."""

    def __init__(self, settings: Settings, process: Process, broker: Broker, database: Database, cache: Cache) -> None:
        self._settings = settings
        self._process = process
        self._broker = broker
        self._database = database
        # Typed as what stands behind them in production: to a worker they are the same.
        self.redis: Any = SimulatedRedis(cache, process)

    def consumer(self) -> Any:
        return SimulatedConsumer(self._broker, self._process, self._settings.kafka.session_timeout_seconds)

    def producer(self) -> Any:
        return SimulatedProducer(self._broker, self._process)

    def letter_producer(self) -> Any:
        return SimulatedProducer(self._broker, self._process)

    async def connect(self) -> Any:
        return await self._connection(writer=False)

    async def connect_writer(self) -> Any:
        return await self._connection(writer=True)

    async def require_schema(self, connection: Any) -> None:
        """The tables in memory are always those of this code."""

    async def _connection(self, *, writer: bool) -> SimulatedConnection:
        of = self._settings.database
        bounds = Bounds(of.lock_timeout_seconds, of.idle_in_transaction_timeout_seconds, of.transaction_timeout_seconds)
        return await connect(self._database, self._process, bounds, writer=writer)
