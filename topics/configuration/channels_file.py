"""Reads `channels.toml`. A secret may be `env:NAME` or `file:PATH`; an error names the file, the key and what was
expected."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from topics.configuration import budgets
from topics.configuration.channels import Channels
from topics.configuration.errors import ConfigurationError, said

ROUNDS_MAX = 5
"""Rounds in which the faults of a file are looked for. Each takes out what was found wrong; a table that needs others
is three levels deep at most."""


def load_channels(path: Path | None, *, default: dict[str, Any] | None = None) -> Channels:
    """Channels from a TOML file, or from `default` when there is no path. Raises ConfigurationError."""
    if path is None:
        if default is None:
            raise ConfigurationError("no channels: give --channels FILE or set SLUICE_CHANNELS_FILE")
        return parse_channels(default, where="built-in channels")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        what = f"{path}: is not UTF-8, as TOML has to be: byte {error.start} cannot be read"
        raise ConfigurationError(what) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    return parse_channels(data, where=str(path), directory=path.parent)


def parse_channels(data: dict[str, Any], *, where: str, directory: Path = Path()) -> Channels:
    """Channels from parsed TOML. Raises ConfigurationError, which names all faults and all missing secrets.

    `directory`: where relative paths of secrets begin.
    """
    lacking: list[str] = []
    resolved = _resolve(data, directory, lacking)
    try:
        channels = Channels.model_validate(resolved)
    except ValidationError as error:
        faults = [*lacking, *_all_faults(resolved, error)]
        raise ConfigurationError(_listed(where, faults)) from error
    if lacking:
        raise ConfigurationError(_listed(where, lacking))
    return channels


def variables_named(path: Path) -> set[str]:
    """The variables that the secrets of a file name; none of a file that cannot be read."""
    try:
        return set(_REFERENCE.findall(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return set()


_REFERENCE = re.compile(r"""["']env:([^"']+)["']""")


class _Lacking(str):
    """A reference to a secret that is not there: said of itself, and what a model says of it is not."""

    __slots__ = ()


def _listed(where: str, faults: list[str]) -> str:
    return "\n".join(f"{where}: {fault}" for fault in dict.fromkeys(faults))


def _all_faults(data: dict[str, Any], error: ValidationError) -> list[str]:
    """Also the faults that the models look for only where nothing else is wrong: once the others are taken out."""
    found: list[str] = []
    taken_out: set[tuple[Any, ...]] = set()
    for _ in range(ROUNDS_MAX):
        problems = [one for one in error.errors() if one["type"] != "missing" or one["loc"] not in taken_out]
        faults = [_explain(one) for one in problems if not isinstance(one["input"], _Lacking)]
        found += [fault for fault in faults if fault not in found]
        places = [one["loc"] for one in problems if one["type"] != "missing" and one["loc"]]
        if not places:
            break
        for place in places:
            data = _without(data, place)
        taken_out.update(places)
        increff = data.get("increff")
        data["increff"] = {"url": "http://left.out", **(increff if isinstance(increff, dict) else {})}
        try:
            Channels.model_validate(data)
        except ValidationError as another:
            error = another
        else:
            break
    return found


def _without(data: Any, place: tuple[Any, ...]) -> Any:
    """The table without the entry at this place, or without the nearest entry around it."""
    if not isinstance(data, dict) or place[0] not in data:
        return data
    name, inner = place[0], data[place[0]]
    deeper = _without(inner, place[1:]) if len(place) > 1 else inner
    if deeper is inner:
        return {key: value for key, value in data.items() if key != name}
    return {**data, name: deeper}


def _resolve(value: Any, directory: Path, lacking: list[str]) -> Any:
    """The value with each `env:NAME` and `file:PATH` replaced. Adds a message to `lacking` for each that has none."""
    if isinstance(value, dict):
        return {name: _resolve(member, directory, lacking) for name, member in value.items()}
    if isinstance(value, list):
        return [_resolve(member, directory, lacking) for member in value]
    if isinstance(value, str) and value.startswith("env:"):
        name = value.removeprefix("env:")
        if not os.environ.get(name):
            state = "empty" if name in os.environ else "not set"
            lacking.append(f"{value} names the environment variable {name}, which is {state}")
            return _Lacking(value)
        return os.environ[name]
    if isinstance(value, str) and value.startswith("file:"):
        return _secret_in(value, directory / value.removeprefix("file:"), lacking)
    return value


def _secret_in(value: str, path: Path, lacking: list[str]) -> str:
    """The text of a file that holds one secret."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:  # UnicodeDecodeError is among them
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8, or its name cannot be one"
        lacking.append(f"{value} names the file {path}, which cannot be read: {said}")
        return _Lacking(value)
    if not text:
        lacking.append(f"{value} names the file {path}, which is empty")
        return _Lacking(value)
    return text


def _explain(problem: Any) -> str:
    place = ".".join(map(str, _written(problem["loc"])))
    return f"{place}: {_expected(problem)}" if place else _expected(problem)


def _written(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path as it is in the file: without pydantic's names of the shapes of a budget."""
    if "budget" not in path:
        return path
    after = path.index("budget") + 1
    return path[:after] + tuple(part for part in path[after:] if part not in budgets.TAGS)


def _expected(problem: Any) -> str:
    """The problem with one key, in words for the author of the file."""
    kind, path = problem["type"], problem["loc"]
    if kind == "extra_forbidden":
        known = _members_at(path[:-1])
        return "is not a setting" + (f"; known here: {', '.join(known)}" if known else "")
    if path == ("channels",) and kind in ("missing", "too_short"):
        return "there is no [channels.NAME] table"
    if kind == "missing":
        description = _description_at(path)
        return "is missing" + (f": {description}" if description else "")
    if kind == "string_pattern_mismatch" and path[-1] == "url":
        return f"expected http://HOST or https://HOST, not {problem['input']!r}"
    return said(problem)


def _model_at(path: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model of the table at `path`, if there is one."""
    kind: Any = Channels
    for part in path:
        kind = budgets.TAGS[part] or kind if part in budgets.TAGS else _kind_of(kind, part)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _kind_of(kind: Any, part: Any) -> Any:
    """The type of a table's member, or of the entries of a list or of a table with free names."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        kind = kind.model_fields[part].annotation if part in kind.model_fields else None
    else:
        kind = next(reversed(get_args(kind)), None) if get_origin(kind) is dict else next(iter(get_args(kind)), None)
    return get_args(kind)[0] if get_origin(kind) in (Union, UnionType) else kind  # or None: the member is optional


def _members_at(path: tuple[Any, ...]) -> list[str]:
    model = _model_at(path)
    return [name for name in model.model_fields if name != "name"] if model else []


def _description_at(path: tuple[Any, ...]) -> str:
    model = _model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return (field.description or "") if field else ""
