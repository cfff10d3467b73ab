"""The jars of the worker and of the sink, each locked by SHA-256.

Remake the locks: `python -m bench.peers.debezium.jars`. They are fetched as the broker's own jars are
(`pipeline.stack.jars`): nothing is resolved when the peer starts.
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pipeline.stack.jars import Jar, cache_folder, digest, ensure_jars, fetch, jar_folder, kafka_version, locked_jars

# 3.6.0 names an artifact (hibernate-agroal) that cannot be resolved.
SINK_VERSION: Final = "3.5.0.Final"
_SINK: Final = f"io.debezium:debezium-connector-jdbc:{SINK_VERSION}"
_LOCKS: Final = {name: Path(__file__).with_name(f"{name}_jars.txt") for name in ("worker", "sink")}
_HEADER: Final = "# Jars and their SHA-256. Made by: python -m bench.peers.debezium.jars\n"
# Drivers of other databases, and what the worker lends its plugins. Jackson too: the worker's services are seen by a
# plugin, and refused where the plugin has a Jackson of its own.
_NOT_OF_THE_SINK: Final = frozenset(
    (
        *("mysql-connector-j", "mariadb-java-client", "mssql-jdbc", "ojdbc11"),
        *("connect-api", "kafka-clients", "slf4j-api", "snappy-java", "zstd-jni", "lz4-java"),
        *("jackson-core", "jackson-databind", "jackson-annotations"),
    )
)
# The worker logs through these, and names none of them.
_LOGGING: Final = ("log4j-api", "log4j-core", "log4j-slf4j-impl")


def folder(name: str, maven_url: str | None = None) -> Path:
    """A folder of exactly the jars of the `worker`, or of the `sink`; fetched when absent. Raises StackFailed."""
    jars = locked_jars(_LOCKS[name].read_text())
    ensure_jars(jars, cache_folder(), maven_url)
    return jar_folder(jars, cache_folder())


def main() -> int:
    """Write the locks; the diff is for a person to read."""
    with tempfile.TemporaryDirectory() as made:
        repository = Path(made)
        context = import_module("jgo.maven").MavenContext(repo_cache=repository)
        for name, jars in (("worker", _worker(context)), ("sink", _sink(context))):
            # By name of the file: one of each in a folder, the newest where the tool named two.
            newest = {jar.artifact: jar for jar in jars}
            lines = [f"{jar.coordinate} {digest(fetch(jar, repository))}\n" for jar in newest.values()]
            _LOCKS[name].write_text(_HEADER + "".join(sorted(lines)))
            print(f"{len(lines)} jars in {_LOCKS[name].name}", file=sys.stderr)
    return 0


def _worker(context: Any) -> Iterator[Jar]:
    yield from _resolved(context, f"org.apache.kafka:connect-runtime:{kafka_version()}")
    yield from (jar for jar in locked_jars() if jar.artifact in _LOGGING)


def _sink(context: Any) -> Iterator[Jar]:
    return (jar for jar in _resolved(context, _SINK) if jar.artifact not in _NOT_OF_THE_SINK)


def _resolved(context: Any, coordinate: str) -> Iterator[Jar]:
    direct, further = context.resolver.resolve([context.create_dependency(coordinate)])
    for found in (*direct, *further):
        yield Jar(found.groupId, found.artifactId, found.version, "")


if __name__ == "__main__":
    sys.exit(main())
