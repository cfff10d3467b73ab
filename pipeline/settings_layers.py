"""Where the values of settings are given: the profile, the file, the environment. What they are is in `settings`."""

import difflib
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic_settings import BaseSettings, EnvSettingsSource

from pipeline.errors import SettingsRefused
from pipeline.profiles import DEFAULT_PROFILE, PROFILES

PREFIX: Final = "FOLIO_"
PROFILE_VARIABLE: Final = "FOLIO_PROFILE"
FILE_VARIABLE: Final = "FOLIO_SETTINGS_FILE"
# After a variable's name: the file that holds its value, as Docker and Kubernetes hand secrets to a process.
FROM_FILE: Final = "_FILE"
# These say where settings come from; they are none themselves, and stand in the environment only.
ABOUT_SETTINGS: Final = (PROFILE_VARIABLE, FILE_VARIABLE)

Key = tuple[str, str]  # section, setting
Known = Mapping[str, Collection[str]]  # the settings of each section
Kind = Literal["default", "profile", "file", "environment"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value that was given, and where: `where` is how a message names the place."""

    value: object
    kind: Kind
    where: str


def variable(key: Key) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{key[0]}_{key[1]}".upper()


def given_values(model: type[BaseSettings], known: Known, environment: Mapping[str, str]) -> dict[Key, Given]:
    """Every value that somebody gave: the profile's, over it the file's, over both the environment's.

    Raises SettingsRefused for a name that is no setting, a profile that is none, a file that cannot be read.
    """
    _refuse_unknown(known, environment)
    return {
        **_of_profile(environment),
        **_of_file(known, environment),
        **_of_environment(model, environment),
        **_of_files_of_values(model, known, environment),
    }


def profile_name(environment: Mapping[str, str]) -> str:
    """The profile that is asked for. Raises SettingsRefused when there is none of that name."""
    name = environment.get(PROFILE_VARIABLE) or DEFAULT_PROFILE
    if name not in PROFILES:
        accepted = ", ".join(PROFILES)
        raise SettingsRefused(
            f"{PROFILE_VARIABLE}={name!r} is refused: one of {accepted} is accepted; {_hint(name, PROFILES)}"
        )
    return name


class _Given(EnvSettingsSource):
    """The variables of a mapping, read as pydantic-settings reads those of the process."""

    def __init__(self, model: type[BaseSettings], environment: Mapping[str, str]) -> None:
        self._environment = {name.lower(): value for name, value in environment.items()}
        super().__init__(model)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environment


def _of_profile(environment: Mapping[str, str]) -> dict[Key, Given]:
    name = profile_name(environment)
    values = _flat(PROFILES[name])
    return {key: Given(value, "profile", f"profile {name}: {variable(key)}") for key, value in values}


def _of_environment(model: type[BaseSettings], environment: Mapping[str, str]) -> dict[Key, Given]:
    direct = {name: value for name, value in environment.items() if not name.endswith(FROM_FILE)}
    values = _flat(_Given(model, direct)())
    return {key: Given(value, "environment", variable(key)) for key, value in values}


def _of_files_of_values(model: type[BaseSettings], known: Known, environment: Mapping[str, str]) -> dict[Key, Given]:
    named = {name: environment.get(name + FROM_FILE, "") for name in _variables(known)}
    values = {name: _value_in(name, Path(file), environment) for name, file in named.items() if file}
    found = _of_environment(model, values)
    return {key: Given(each.value, "environment", each.where + FROM_FILE) for key, each in found.items()}


def _value_in(name: str, file: Path, environment: Mapping[str, str]) -> str:
    where = f"{name}{FROM_FILE}={str(file)!r}"
    if environment.get(name):
        raise SettingsRefused(f"{where} and {name} are both set; leave one of them")
    try:
        value = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsRefused(f"{where} cannot be read: {reason}") from error
    if not value:
        raise SettingsRefused(f"{where} is empty; write the value of {name} into it")
    return value


def _of_file(known: Known, environment: Mapping[str, str]) -> dict[Key, Given]:
    # Named, never found by itself: what a command does to money must not depend on the folder it was typed in.
    name = environment.get(FILE_VARIABLE)
    if not name:
        return {}
    document = _read(Path(name))
    problems = list(_problems(document, known))
    if problems:
        raise SettingsRefused("; ".join(f"{name}: {problem}" for problem in problems))
    return {key: Given(_as_text(value), "file", f"{name}: {'.'.join(key)}") for key, value in _flat(document)}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"{FILE_VARIABLE}={str(file)!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{FILE_VARIABLE}={str(file)!r} is not TOML: {error}") from error


def _problems(document: Mapping[str, Any], known: Known) -> Iterator[str]:
    for section, values in document.items():
        if section not in known:
            yield f"{section} is not a section of settings; {_hint(section, known)}"
        elif not isinstance(values, dict):
            yield f"{section} must be a table of settings: [{section}]"
        else:
            dotted = [f"{section}.{name}" for name in known[section]]
            for name in values:
                if name not in known[section]:
                    yield f"{section}.{name} is not a setting; {_hint(f'{section}.{name}', dotted)}"


def _as_text(value: object) -> object:
    # As the environment would have it: a number stays one, but `true` must not pass for the number 1.
    return str(value).lower() if isinstance(value, bool) else value


def _flat(nested: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Key, object]]:
    for section, values in nested.items():
        for name, value in values.items():
            yield (section, name), value


def _variables(known: Known) -> list[str]:
    return [variable((section, name)) for section, settings in known.items() for name in settings]


def _refuse_unknown(known: Known, environment: Mapping[str, str]) -> None:
    names = [*_variables(known), *ABOUT_SETTINGS]
    accepted = {*names, *(name + FROM_FILE for name in _variables(known))}
    for name in environment:
        if name.startswith(PREFIX) and name not in accepted:
            raise SettingsRefused(f"{name} is not a setting; {_hint(name, names)}")


def _hint(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]}?" if nearest else "see docs/settings.md"
