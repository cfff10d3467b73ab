"""The reference of the settings, made from their definitions: `python -m pipeline.settings_reference`."""

import sys
from collections.abc import Iterator

from pipeline.settings import PREFIX, Section, Settings

_HEAD = """# Settings

Every setting is an environment variable. A wrong value, and a name that is not a setting, are refused at start with the
variable's name and the accepted form. This page is made from `pipeline/settings.py`; a test keeps it so.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        yield f"## {name}\n\n{section.__doc__}\n"
        yield "| variable | default | meaning |\n|---|---|---|"
        for setting, definition in section.model_fields.items():
            default = "" if definition.default is None else f"`{definition.default}`"
            yield f"| `{PREFIX}{name}_{setting}`".upper() + f" | {default} | {definition.description} |"
        yield ""


if __name__ == "__main__":
    sys.stdout.write(reference())
