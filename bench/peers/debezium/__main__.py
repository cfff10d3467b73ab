"""Rows alone, upserted by key: a sink copies, it does not add up, so there are no balances.

At least once, and an upsert of the same row changes nothing: the rows are correct after a kill.
"""

import os
from typing import Final

from bench.peers.arguments import Arguments, arguments
from bench.peers.debezium import configuration, jars
from pipeline.stack.packages import java_program

# As the broker's own: with two cores, a collector that works beside the program takes a core from it.
_JVM: Final = (
    *("-Xms512m", "-Xmx1g", "-XX:+UseSerialGC"),
    *("-Duser.timezone=UTC", "-Djava.awt.headless=true", "--enable-native-access=ALL-UNNAMED"),
)


def main(given: Arguments) -> None:
    given.state_dir.mkdir(parents=True, exist_ok=True)
    worker_jars, sink_jars = jars.folder("worker"), jars.folder("sink")
    logging, worker, connector = configuration.write(given, sink_jars)
    java = java_program()
    # In our place: whoever kills this process kills the worker.
    os.execv(  # a fixed program, no shell
        java,
        (
            java,
            *_JVM,
            f"-Dlog4j2.configurationFile={logging}",
            *("-cp", f"{worker_jars}/*"),
            "org.apache.kafka.connect.cli.ConnectStandalone",
            *(str(worker), str(connector)),
        ),
    )


if __name__ == "__main__":
    main(arguments())
