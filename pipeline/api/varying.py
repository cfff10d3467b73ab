"""By which headers of a request its answer differs: the same list on every answer."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

# Each answer is for one token; who asks for the primary must not get what was kept for who did not; and an answer names
# the origin whose pages may read it. Whoever keeps answers goes by all of them, whatever this one was asked with.
VARY: Final = "Authorization, Folio-Read, Origin"


async def vary_as_ever(message: Message, _: Scope) -> None:
    """Before an answer is sent. Litestar's CORS puts `Vary: Origin` where all of it stood, and the token is lost."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    if headers.get("access-control-allow-origin") is not None:
        headers["vary"] = f"{VARY}, Accept-Encoding"  # which the compression had added, where it compressed
