"""Remake `kafka_jars.txt`: `python -m pipeline.stack.lock_jars`. For another Kafka, edit KAFKA first.

Kafka is resolved alone: with a logging artifact in the same coordinate, the resolver has once chosen an older
kafka-clients. Of kafka-tools only its own jar is taken; the rest of what it names is Kafka Connect's.
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from pipeline.stack.jars import LOCK_FILE, Jar, digest, fetch

KAFKA = "4.3.1"
BROKER = f"org.apache.kafka:kafka_2.13:{KAFKA}"
HEADER = "# The jars of Apache Kafka and their SHA-256. Made by: python -m pipeline.stack.lock_jars\n"


def coordinates(repository: Path) -> Iterator[tuple[str, str, str]]:
    """Group, artifact and version of every jar of the class path."""
    context = import_module("jgo.maven").MavenContext(repo_cache=repository)
    broker, rest = context.resolver.resolve([context.create_dependency(BROKER)])
    log4j = ""
    for dependency in (*broker, *rest):
        yield dependency.groupId, dependency.artifactId, dependency.version
        if dependency.artifactId == "log4j-core":
            log4j = dependency.version
    yield "org.apache.kafka", "kafka-tools", KAFKA
    yield "org.apache.logging.log4j", "log4j-slf4j-impl", log4j


def main() -> int:
    """Write the lock; the diff is for a person to read."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        lines = [
            f"{':'.join(names)} {digest(fetch(Jar(*names, ''), repository))}\n" for names in coordinates(repository)
        ]
    LOCK_FILE.write_text(HEADER + "".join(sorted(lines)))
    print(f"{len(lines)} jars in {LOCK_FILE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
