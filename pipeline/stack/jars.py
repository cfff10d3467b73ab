"""The jars of Apache Kafka: exactly those of `kafka_jars.txt`, fetched once for all stacks of a user.

Nothing is resolved at run time: the lock names every artifact with its SHA-256, and a jar with another
content is refused, wherever it came from. The folder is keyed by the lock: old and new jars never mix.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pipeline.errors import StackFailed
from pipeline.stack.folder import explain, locked
from pipeline.stack.packages import home

LOCK_FILE = Path(__file__).with_name("kafka_jars.txt")
# Small files from one server: more connections at once gain nothing.
FETCHERS = 6
FETCH_TIMEOUT_SECONDS = 30
FETCH_WAIT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: `group:artifact:version sha256`."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked_jars(text: str | None = None) -> tuple[Jar, ...]:
    """The lock's jars."""
    lines = (LOCK_FILE.read_text() if text is None else text).splitlines()
    jars = []
    for line in lines:
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def kafka_version() -> str:
    """The version of Kafka that the lock holds."""
    return next(jar.version for jar in locked_jars() if jar.artifact == "kafka-clients")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/foliostream`, shared by all stacks of a user."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "foliostream"


def jar_folder(jars: Sequence[Jar], cache: Path) -> Path:
    """The folder of exactly these jars."""
    key = hashlib.sha256("\n".join(f"{jar.coordinate} {jar.sha256}" for jar in jars).encode()).hexdigest()
    return cache / f"kafka-{key[:16]}"


def absent(jars: Sequence[Jar], cache: Path) -> list[Jar]:
    """Jars that are not in the cache, or not as the lock says (a cut-off write, a bad disk)."""
    folder = jar_folder(jars, cache)
    return [jar for jar in jars if not _right(jar, folder / jar.name)]


def ensure_jars(jars: Sequence[Jar], cache: Path, maven_url: str | None = None) -> list[Path]:
    """The paths of all jars, fetched when absent, from a mirror where one is named, and verified always."""
    folder = jar_folder(jars, cache)
    if absent(jars, cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Two stacks that start at once on a new machine: the second waits, and finds all there.
            with locked(cache / "lock", FETCH_WAIT_SECONDS):
                _clear_leftovers(cache)
                _fetch_all(absent(jars, cache), folder, maven_url)
        except OSError as exc:
            raise StackFailed(explain(exc, folder)) from exc
    return [folder / jar.name for jar in jars]


def fetch(jar: Jar, repository: Path, maven_url: str | None = None) -> Path:
    """Fetch one artifact into a Maven repository folder of our own, by jgo's lower layer."""
    home("jgo")
    remotes = {"FOLIO_STACK_MAVEN_URL": maven_url} if maven_url else None
    context = import_module("jgo.maven").MavenContext(
        repo_cache=repository, remote_repos=remotes, timeout=FETCH_TIMEOUT_SECONDS
    )
    try:
        path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except Exception as exc:  # whatever the client lets through: its message may be a page, ours is a line
        reason = f"{type(exc).__name__}: {str(exc).splitlines()[0][:120] if str(exc) else ''}"
        raise StackFailed(
            f"{jar.coordinate} could not be fetched ({reason}); the first start needs the network: "
            "check it, or name a mirror in FOLIO_STACK_MAVEN_URL, or a broker in FOLIO_KAFKA_BOOTSTRAP"
        ) from exc
    return Path(path)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_all(jars: Sequence[Jar], folder: Path, maven_url: str | None) -> None:
    # Beside the folder, hence on its file system: a jar appears in it whole, by rename.
    repository = Path(tempfile.mkdtemp(prefix="fetch-", dir=folder.parent))
    try:
        with ThreadPoolExecutor(FETCHERS) as pool:
            list(pool.map(lambda jar: _fetch_one(jar, repository, folder, maven_url), jars))
    finally:
        shutil.rmtree(repository, ignore_errors=True)


def _fetch_one(jar: Jar, repository: Path, folder: Path, maven_url: str | None) -> None:
    path = fetch(jar, repository, maven_url)
    if (found := digest(path)) != jar.sha256:
        raise StackFailed(
            f"{jar.coordinate} is refused: its SHA-256 is {found}, and the lock says {jar.sha256}. "
            "Something on the way altered it; fetch through another network or mirror (FOLIO_STACK_MAVEN_URL)"
        )
    path.replace(folder / jar.name)


def _right(jar: Jar, path: Path) -> bool:
    return path.is_file() and digest(path) == jar.sha256


def _clear_leftovers(cache: Path) -> None:
    for leftover in cache.glob("fetch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
