"""TOML tables into frozen dataclasses, by their type hints; errors name the file and the path of the field.

Every policy and every part of a scenario is a dataclass with units in its field names. Reading them by their hints
means that a field which a policy gains tomorrow can be set in a scenario tomorrow.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from heliograph.domain.errors import InvalidRequest

Table = Mapping[str, object]
_Kind = TypeVar("_Kind")


def read_table(kind: type[_Kind], value: object, *, origin: str, path: str = "") -> _Kind:
    """`value` as a `kind`. Raises `InvalidRequest` for a field that is unknown, missing or of the wrong type."""
    if not isinstance(value, Mapping):
        raise wrong(origin, path, "must be a table")
    table = cast(Table, value)
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(cast(Any, kind)) if each.init}
    for key in table:
        if key not in known:
            raise wrong(origin, _at(path, key), f"is not known; known here are {', '.join(known)}")
    values = {key: _read(hints[key], item, origin=origin, path=_at(path, key)) for key, item in table.items()}
    for name, each in known.items():
        if name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise wrong(origin, _at(path, name), "is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise wrong(origin, path, str(error)) from error


def wrong(origin: str, path: str, problem: str) -> InvalidRequest:
    """The error for a field of a file."""
    return InvalidRequest(f"{origin}: {path or 'the file'} {problem}.", param=path or None, code="invalid_scenario")


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _read(hint: Any, value: object, *, origin: str, path: str) -> Any:  # noqa: ANN401 - hints and values of any kind
    """One value as its type hint wants it."""
    origin_of_hint = get_origin(hint)
    if origin_of_hint is Union or origin_of_hint is types.UnionType:
        return _read_union(get_args(hint), value, origin=origin, path=path)
    if hasattr(hint, "__supertype__"):  # a NewType
        return _read(hint.__supertype__, value, origin=origin, path=path)
    if origin_of_hint is tuple:
        return _read_tuple(get_args(hint), value, origin=origin, path=path)
    if origin_of_hint is not None and issubclass(origin_of_hint, frozenset):
        (item,) = get_args(hint)
        return frozenset(_read_items(item, value, origin=origin, path=path))
    if origin_of_hint is not None and issubclass(origin_of_hint, Mapping):
        key_hint, item_hint = get_args(hint)
        if not isinstance(value, Mapping):
            raise wrong(origin, path, "must be a table")
        return {
            _read(key_hint, key, origin=origin, path=path): _read(item_hint, item, origin=origin, path=_at(path, key))
            for key, item in cast(Table, value).items()
        }
    if is_dataclass(hint):
        return read_table(cast(type[object], hint), value, origin=origin, path=path)
    return _read_plain(hint, value, origin=origin, path=path)


def _read_union(hints: Sequence[Any], value: object, *, origin: str, path: str) -> Any:  # noqa: ANN401
    options = [hint for hint in hints if hint is not types.NoneType]
    for hint in options[:-1]:
        try:
            return _read(hint, value, origin=origin, path=path)
        except InvalidRequest:
            continue
    return _read(options[-1], value, origin=origin, path=path)


def _read_items(hint: Any, value: object, *, origin: str, path: str) -> list[Any]:  # noqa: ANN401
    if not isinstance(value, list):
        raise wrong(origin, path, "must be a list")
    items = cast(list[object], value)
    return [_read(hint, item, origin=origin, path=_at(path, str(index))) for index, item in enumerate(items)]


def _read_tuple(hints: Sequence[Any], value: object, *, origin: str, path: str) -> tuple[Any, ...]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_read_items(hints[0], value, origin=origin, path=path))
    if not isinstance(value, list) or len(cast(list[object], value)) != len(hints):
        raise wrong(origin, path, f"must be a list of {len(hints)}")
    items = cast(list[object], value)
    return tuple(
        _read(hint, item, origin=origin, path=_at(path, str(index)))
        for index, (hint, item) in enumerate(zip(hints, items, strict=True))
    )


def _read_plain(hint: Any, value: object, *, origin: str, path: str) -> Any:  # noqa: ANN401
    if hint is bool:
        if not isinstance(value, bool):
            raise wrong(origin, path, "must be true or false")
        return value
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(origin, path, "must be a number")
        return float(value)
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(origin, path, "must be a whole number")
        return value
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(str(choice.value) for choice in hint)
            raise wrong(origin, path, f"must be one of {choices}") from None
    if not isinstance(value, str):
        raise wrong(origin, path, "must be a string")
    return value
