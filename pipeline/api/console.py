"""The console's files: a page, its style and its modules, as they lie in `pipeline/console`. There is no build."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.params import FromPath

from pipeline.api.problems import Missing

_FOLDER: Final = Path(__file__).parents[1] / "console"
_PAGE: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
# The page holds an operator's token. So it runs its own modules alone, asks nobody but this server, and is framed by
# nobody; what it would be tricked into writing as a script or a style is none.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # The same for everybody; whether it changed is asked by its entity tag, so that a new version is seen at once.
    "Cache-Control": "public, no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str


def _read(folder: Path) -> Mapping[str, _File]:
    """Every file that a browser may ask for, by its path. They are 300 kB, and no path of a request meets the disk."""
    return {
        path.relative_to(folder).as_posix(): _File(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }


_FILES: Final = _read(_FOLDER)


def console_files() -> tuple[str, ...]:
    """What is served below `/console/`."""
    return tuple(_FILES)


@get(["/console", "/console/{name:path}"], include_in_schema=False, sync_to_thread=False)
def console(name: FromPath[str] = "/") -> Response[bytes]:
    """A file of the console; the page itself where none is named."""
    file = _FILES.get(name.strip("/") or _PAGE)
    if file is None:
        raise Missing("the console has no such file")
    return Response(file.content, media_type=file.media_type, headers=_HEADERS)
