"""Who there is, with which password, and what the broker lets each do."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.topics import topics

ADMIN: Final = "admin"
# Characters that mean something in URLs, shells and JAAS are where mistakes show.
PASSWORDS: Final[Mapping[str, str]] = {
    who: f"{who}5e/{who}cr@{who}t:1+%" for who in (ADMIN, "worker", "producer", "subscriber", "operator", "reader")
}
ACLS: Final = Path(__file__).parents[2] / "deploy" / "kafka-acls.txt"
_GRANT_SECONDS_MAX: Final = 30.0


def grant(admin: AdminClient, prefix: str, group: str) -> None:
    """What deploy/kafka-acls.txt says, and nothing else, for the topics with this prefix and this group."""
    for future in admin.create_acls(list(_bindings(prefix, group))).values():
        future.result(_GRANT_SECONDS_MAX)


def granted() -> Iterator[tuple[str, str, str, str]]:
    """The lines of the file: who, operation, kind, name."""
    for line in ACLS.read_text().splitlines():
        if line and not line.startswith("#"):
            who, operation, kind, name = line.split()
            yield who, operation, kind, name


def _bindings(prefix: str, group: str) -> Iterator[AclBinding]:
    known = {spec.name for spec in topics()}
    for who, operation, kind, name in granted():
        match kind:
            case "topic":
                assert name in known, f"{ACLS} names {name}, which is no topic of ours"
                resource, named = ResourceType.TOPIC, prefix + name
            case "group":
                resource, named = ResourceType.GROUP, group
            case "cluster":
                resource, named = ResourceType.BROKER, name  # librdkafka's word for it
            case _:
                raise AssertionError(f"{ACLS} names the kind {kind}")
        yield AclBinding(
            resource,
            named,
            ResourcePatternType.LITERAL,
            f"User:{who}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
