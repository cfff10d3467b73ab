"""The document over HTTP."""

from litestar import get
from litestar.di import NamedDependency

from pipeline.api.access import operators_only
from pipeline.api.overview.document import SystemStatus
from pipeline.api.overview.looking import Overview
from pipeline.api.problems import documented


@get(
    "/v1/system/status",
    guards=[operators_only],
    tags=["System"],
    responses=documented(401, 403),
    summary="How the whole stream stands",
)
async def system_status(overview: NamedDependency[Overview]) -> SystemStatus:
    """As of a second ago at most. Where broker or database are away it is answered too: their figures are null."""
    return await overview.status()
