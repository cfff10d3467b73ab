"""What every section of the settings is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, and without names that are no setting. Its docstring is its heading in the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")
