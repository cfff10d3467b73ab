"""folio topics: the topics of the stream."""

import asyncio

from cyclopts import App

from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.topics import check_topics, create_topics

app = App(name="topics", help="Create and check the topics.")


@app.command
def create() -> int:
    """Create the topics that do not exist, with as many partitions as FOLIO_KAFKA_LANES."""
    settings = settings_module.load()
    kafka = settings.kafka
    bootstrap = resolve(settings).kafka_bootstrap
    created = asyncio.run(create_topics(bootstrap, kafka.lanes, kafka.replication_factor, kafka.topic_prefix))
    print(f"created: {', '.join(created)}" if created else "nothing to create")
    return check()


@app.command
def check() -> int:
    """Check that the topics exist and are what the lanes need."""
    settings = settings_module.load()
    problems = asyncio.run(check_topics(resolve(settings).kafka_bootstrap, settings.kafka.topic_prefix))
    for problem in problems:
        print(problem)
    if not problems:
        print("topics are as they must be")
    return EXIT_DIFFERENT if problems else EXIT_OK
