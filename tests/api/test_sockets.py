"""What a client may do to its socket, and what must not come of it."""

from tests.api.conftest import Servers
from tests.api.followers import heard, say, socket
from tests.api.issuing import Issuer


async def test_a_name_is_free_again_once_its_subscription_was_ended(servers: Servers, issuer: Issuer) -> None:
    """Also where both were said at once, before the subscription had begun."""
    async with servers() as server, socket(server.socket_url, issuer.bearer(1)) as opened:
        await say(opened, type="ping")  # the first message has no turn to wait for
        assert (await heard(opened))["type"] == "pong"
        for _ in range(25):  # more than a socket may have at once
            await say(opened, type="subscribe", id="a", org_id=1)
            await say(opened, type="unsubscribe", id="a")
            while (told := await heard(opened))["type"] != "closed":
                assert told["type"] in ("subscribed", "snapshot"), told
