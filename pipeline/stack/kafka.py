"""Apache Kafka as one process: broker and controller (KRaft) in one node, on loopback."""

import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.stack import probes
from pipeline.stack.config import PartName
from pipeline.stack.jars import Jar, cache_folder, ensure_jars, jar_folder, locked_jars
from pipeline.stack.packages import java_program
from pipeline.stack.part import made_once
from pipeline.stack.ports import HOST
from pipeline.stack.process import run
from pipeline.stack.record import write_whole

FORMAT_SECONDS_MAX = 60.0
# Serial: with two cores, a collector that works beside the broker takes its core. 512 MB suffice for what one
# machine can push through it, and leave the rest to the page cache, which does the work.
JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    # For its file of counters a starting JVM changes into another folder, and for that moment is not known by ours.
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
LOG4J = """\
<Configuration status="ERROR">
  <Appenders>
    <RollingFile name="file" fileName="{folder}/server.log" filePattern="{folder}/server.old.log">
      <PatternLayout pattern="%d{{ISO8601}} %p %m (%c)%n"/>
      <SizeBasedTriggeringPolicy size="8 MB"/>
      <DefaultRolloverStrategy max="1"/>
    </RollingFile>
    <Console name="console"><PatternLayout pattern="%d{{ISO8601}} %p %m (%c)%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="warn">
      <AppenderRef ref="file"/>
      <AppenderRef ref="console" level="error"/>
    </Root>
  </Loggers>
</Configuration>
"""
# One node, so every internal topic has one replica. Few partitions of those: each costs files and start time.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
min.insync.replicas=1
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""


@dataclass(frozen=True, slots=True)
class Kafka:
    """The broker of one stack, in a folder of its own."""

    folder: Path
    name: PartName = "kafka"
    port_names: Sequence[str] = ("kafka", "controller")
    ready_seconds_max: float = 90.0
    jars: Sequence[Jar] = field(default_factory=locked_jars)
    cache: Path = field(default_factory=cache_folder)
    maven_url: str | None = None

    def check(self) -> None:
        java_program()

    def prepare(self, ports: Mapping[str, int]) -> None:
        ensure_jars(self.jars, self.cache, self.maven_url)
        write_whole(self.folder / "log4j2.xml", LOG4J.format(folder=self.folder).encode())
        made_once(self.folder / "data", lambda unfinished: self._format(ports, unfinished))
        self._configure(ports, self.folder / "data", self.folder / "server.properties")

    def command(self) -> Sequence[str]:
        return (*self._java(), "kafka.Kafka", str(self.folder / "server.properties"))

    def environ(self) -> Mapping[str, str] | None:
        return None

    def address(self, ports: Mapping[str, int]) -> str:
        return f"{HOST}:{ports['kafka']}"

    def ready(self, ports: Mapping[str, int]) -> None:
        probes.kafka(self.address(ports))

    def _format(self, ports: Mapping[str, int], data: Path) -> None:
        properties = self.folder / "format.properties"
        self._configure(ports, data, properties)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Kafka reads an id that begins with a dash as an option.
        cluster = cluster.replace("-", "_")
        storage = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *self._format_options())
        # It lives for a second: no time in which the optimising compiler could pay for itself.
        command = (*self._java("-XX:TieredStopAtLevel=1"), *storage)
        run(command, self.folder, self.folder / "log", "formatting Kafka's log", FORMAT_SECONDS_MAX)

    def _format_options(self) -> Sequence[str]:
        """What else is written into a new log, such as users: a secured broker of the tests has some."""
        return ()

    def _configure(self, ports: Mapping[str, int], data: Path, path: Path) -> None:
        write_whole(path, PROPERTIES.format(host=HOST, data=data, **ports).encode())

    def _java(self, *options: str) -> Sequence[str]:
        folder = jar_folder(self.jars, self.cache)
        path = ":".join(str(folder / jar.name) for jar in self.jars)
        return (
            java_program(),
            *JVM,
            *options,
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            "-cp",
            path,
        )
