"""Creating the topics, and checking that they are what the lanes need."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from pipeline.broker import broker_options, servers_of
from pipeline.errors import BrokerUnavailable, TopicMismatch
from pipeline.translate import broker_errors
from schemas.topics import Feed, topics

_LOOKS_MAX = 100
_LOOK_SECONDS = 0.1


async def create_topics(bootstrap: str, lanes: int, replication_factor: int, prefix: str = "") -> list[str]:
    """Create the topics that do not exist, each with `lanes` partitions; returns their names."""
    async with _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        missing = [spec for spec in topics(prefix) if spec.name not in existing]
        if missing:
            response = await admin.create_topics(
                [NewTopic(spec.name, lanes, replication_factor, topic_configs=spec.config) for spec in missing]
            )
            for name, code, *rest in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise BrokerUnavailable(f"topic {name} was not created: {error.__name__}: {rest}")
            await _wait_until_known(admin, {spec.name: lanes for spec in missing})
    return [spec.name for spec in missing]


async def _wait_until_known(admin: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> None:
    """Partitions are made before every broker knows of them; who asks at once may be told that they do not exist."""
    for _ in range(_LOOKS_MAX):
        known = await _partitions(admin)
        if all(known.get(name, 0) >= partitions for name, partitions in wanted.items()):
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise BrokerUnavailable(f"made, but not yet known to the broker: {', '.join(sorted(wanted))}; check again")


async def partition_counts(bootstrap: str, names: Sequence[str]) -> dict[str, int]:
    """How many partitions each topic has, in the order given. Raises TopicMismatch when one does not exist."""
    async with _admin(bootstrap) as admin:
        known = await _partitions(admin)
    missing = [name for name in names if name not in known]
    if missing:
        raise TopicMismatch(f"{', '.join(missing)}: no such topic; run `folio topics create`")
    return {name: known[name] for name in names}


async def require_growable(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Ask the broker whether it would grow the topics, and let it change nothing. Raises BrokerUnavailable."""
    async with _admin(bootstrap) as admin:
        await admin.create_partitions({name: NewPartitions(partitions) for name in names}, validate_only=True)


async def grow_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Add partitions up to so many in all."""
    async with _admin(bootstrap) as admin:
        await admin.create_partitions({name: NewPartitions(partitions)})
        await _wait_until_known(admin, {name: partitions})


async def check_topics(bootstrap: str, prefix: str = "") -> list[str]:
    """What is wrong with the topics, in words; empty when nothing is."""
    async with _admin(bootstrap) as admin:
        partitions = await _partitions(admin)
        present = [spec for spec in topics(prefix) if spec.name in partitions]
        configs = await _configs(admin, [spec.name for spec in present])
    problems = [
        f"topic {spec.name} does not exist: run `folio topics create`" for spec in topics(prefix) if spec not in present
    ]
    if len({partitions[spec.name] for spec in present}) > 1:
        counts = ", ".join(f"{spec.name} {partitions[spec.name]}" for spec in present)
        problems.append(
            f"the topics differ in partitions ({counts}); lanes need as many of each: run `folio topics repartition` "
            "again where it was interrupted"
        )
    problems += [
        f"topic {spec.name}: {name} is {configs[spec.name].get(name)!r}, must be {wanted!r}"
        for spec in present
        for name, wanted in spec.config.items()
        if not name.startswith("retention") and configs[spec.name].get(name) != wanted
    ]
    return problems


async def lane_count(bootstrap: str, prefix: str) -> int:
    """How many partitions each feed has. Raises TopicMismatch when one does not exist, or they differ."""
    async with _admin(bootstrap) as admin:
        partitions = await _partitions(admin)
    counts = {prefix + feed: partitions.get(prefix + feed, 0) for feed in Feed}
    missing = [topic for topic, count in counts.items() if not count]
    if missing:
        raise TopicMismatch(f"{', '.join(missing)}: no such topic; run `folio topics create`")
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise TopicMismatch(f"the topics must have equally many partitions: {found}")
    return max(counts.values())


async def retention_ms(bootstrap: str, topic: str) -> int:
    """How long a topic that is there keeps a record, by its age; -1: for ever."""
    async with _admin(bootstrap) as admin:
        config = await _configs(admin, [topic])
    return int(config[topic]["retention.ms"])


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    described = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}


async def _configs(admin: AIOKafkaAdminClient, topics_: Sequence[str]) -> dict[str, dict[str, str]]:
    if not topics_:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics_]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for _code, _message, _type, name, entries in response.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**broker_options(bootstrap), client_id="folio-topics", request_timeout_ms=20_000)
    with broker_errors(f"asking the broker at {servers_of(bootstrap)}"):
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
