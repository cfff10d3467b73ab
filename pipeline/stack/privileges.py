"""Running PostgreSQL's programs as root, which they refuse.

With user namespaces, `unshare` shows them a user 1000 who is root outside, and the files stay root's. Where
those are off, `setpriv` runs them as an unprivileged user of this machine, who then must own the data.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackFailed

UNSHARE = ("unshare", "--user", "--map-user=1000")


@dataclass(frozen=True, slots=True)
class Privileges:
    """A prefix for commands, and who must own what they write; None: who we are."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def own(self, path: Path) -> None:
        """Give a file or a whole folder to the user who will run the server."""
        user, group = self.owner or (os.geteuid(), os.getegid())
        if not path.exists() or path.stat().st_uid == user:
            return
        for entry in (path, *path.rglob("*")):
            os.chown(entry, user, group, follow_symlinks=False)


def unprivileged() -> Privileges:
    """How to run a program that refuses root: as it is, unless we are root."""
    if os.geteuid() != 0:
        return Privileges()
    if _works((*UNSHARE, "true")):
        return Privileges(UNSHARE)
    return switched_user()


def switched_user() -> Privileges:
    """The way without user namespaces: the first of `postgres` and `nobody` that exists here."""
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        prefix = ("setpriv", *ids)
        if _works((*prefix, "true")):
            return Privileges(prefix, (user.pw_uid, user.pw_gid))
    raise StackFailed(
        "PostgreSQL refuses to run as root, and neither `unshare --user` nor `setpriv` works here; "
        "run folio as another user, or set FOLIO_DATABASE_URL"
    )


def reachable_by(privileges: Privileges, path: Path) -> bool:
    """Whether the switched user can reach a path at all (a home folder is often closed)."""
    return _works((*privileges.prefix, "test", "-x", str(path)))


def _works(command: Sequence[str]) -> bool:
    return shutil.which(command[0]) is not None and (
        subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    )
