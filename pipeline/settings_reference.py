"""The reference of the settings, made from their definitions: `python -m pipeline.settings_reference`."""

import sys
from collections.abc import Iterator

from pipeline.profiles import PROFILES
from pipeline.settings import sections
from pipeline.settings_layers import variable

_HEAD = """# Settings

A setting is given in one of four places; the later one counts:

1. its **default**, in the tables below;
2. the **profile**: `FOLIO_PROFILE` is `production`, `staging` or `development` (the default, which changes nothing);
   the tables say where a profile differs;
3. the **file** that `FOLIO_SETTINGS_FILE` names, in TOML: `FOLIO_BATCH_ROWS_MAX` is `rows_max` under `[batch]`. No
   file is looked for unless one is named: what runs does not depend on the folder that a command was typed in;
4. the **environment**: the variable, or the file that the variable with `_FILE` after its name names:
   `FOLIO_DATABASE_URL_FILE=/run/secrets/database` keeps a password out of the environment ([security.md](security.md)).

A wrong value, and a name that is not a setting, are refused at start with the name, where it was given, and the
accepted form or the nearest name. `folio settings show` says what holds and where it was given, with passwords as
`***`. Every command reads them so, `folio stack` and `folio doctor` too.
This page is made from `pipeline/settings.py`, `pipeline/settings_serving.py` and `pipeline/profiles.py`; a test keeps
it so.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for name, section in sections().items():
        yield f"## {name}\n\n{section.__doc__}\n"
        yield "| variable | default | meaning |\n|---|---|---|"
        for setting, definition in section.model_fields.items():
            values = [] if definition.default is None else [f"`{definition.default}`"]
            values += _of_profiles(name, setting)
            yield f"| `{variable((name, setting))}` | {'; '.join(values)} | {definition.description} |"
        yield ""


def _of_profiles(section: str, setting: str) -> Iterator[str]:
    for profile, values in PROFILES.items():
        if setting in values.get(section, {}):
            yield f"{profile} `{values[section][setting]}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
