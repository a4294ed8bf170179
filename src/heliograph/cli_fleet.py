"""How `heliograph fleet` shows what the server says of its fleet."""

from typing import cast

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from heliograph.client import JsonObject


def fleet_tables(fleet: JsonObject, *, now_s: float) -> RenderableType:
    """GPUs, replicas with the reason why they are there, models, and what is halted."""
    parts: list[RenderableType] = [_gpus(_rows(fleet, "gpus")), Text(), _replicas(_rows(fleet, "replicas"), now_s)]
    models = _rows(fleet, "models")
    if models:
        parts += [Text(), _models(models, now_s)]
    halts = _rows(fleet, "halts")
    if halts:
        parts += [Text(), *(Text(_halt(halt), style="yellow") for halt in halts)]
    return Group(*parts)


def _gpus(gpus: list[JsonObject]) -> Table:
    table = _table("GPU", "pool", "market", "zone", "memory", "planned", "halted")
    for gpu in gpus:
        halt = cast("JsonObject | None", gpu["halt"])
        table.add_row(
            *(str(gpu[name]) for name in ("id", "pool", "market", "zone")),
            _size(gpu["memory_bytes"]),
            _size(gpu["planned_bytes"]),
            "its driver was lost" if gpu["resting"] else "" if halt is None else str(halt["action"]),
        )
    return table


def _replicas(replicas: list[JsonObject], now_s: float) -> RenderableType:
    if not replicas:
        return Text("No model is loaded.", style="dim")
    table = _table("loaded", "on", "state", "memory", "last used", "saves", "why")
    for replica in replicas:
        saves = replica["saves_s_per_hour"]
        table.add_row(
            str(replica["model"]),
            " ".join(cast("list[str]", replica["gpus"])),
            _state(replica),
            _size(replica["memory_bytes"]),
            _ago(replica["last_used_at"], now_s),
            "" if saves is None else f"{_number(saves):.1f} s/h",
            str(replica["why"]),
        )
    return table


def _state(replica: JsonObject) -> str:
    """What it does; of one whose weights are fetched, how far that has come."""
    fetching = cast("JsonObject | None", replica["fetching"])
    if fetching is None:
        return str(replica["state"])
    done, total, left_s = (fetching[name] for name in ("done_bytes", "total_bytes", "left_s"))
    share = f"fetching {_number(done) / max(_number(total), 1.0):.0%} of {_size(total)}"
    return share if left_s is None else f"{share}, {_number(left_s):.0f} s left"


def _models(models: list[JsonObject], now_s: float) -> Table:
    table = _table("model", "replicas", "waiting", "load", "expected", "orders")
    for model in models:
        asked = model["asked_per_hour"]
        table.add_row(
            str(model["model"]),
            str(model["replicas"]),
            str(model["pending"]),
            f"{_number(model['load_s']):.1f} s",
            "" if asked is None else f"{_number(asked):.1f}/h",
            ", ".join(_orders(model, now_s)),
        )
    return table


def _orders(model: JsonObject, now_s: float) -> list[str]:
    orders = ["pinned"] if model["pinned"] else []
    if model["prewarmed_until"] is not None:
        orders.append(f"prewarmed for {max(_number(model['prewarmed_until']) - now_s, 0.0) / 60:.0f} min")
    if model["replicas_max"] is not None:
        orders.append(f"at most {model['replicas_max']} replicas")
    halt = cast("JsonObject | None", model["halt"])
    if halt is not None:
        orders.append(_halt(halt))
    return orders


def _halt(halt: JsonObject) -> str:
    what = "everything" if halt["name"] is None else f"{halt['scope']} {halt['name']}"
    verb = "drained" if halt["action"] == "drain" else "paused"
    return f"{what} is {verb}" + ("; what runs may finish" if halt["running"] == "finish" else "")


def _rows(fleet: JsonObject, name: str) -> list[JsonObject]:
    return cast("list[JsonObject]", fleet[name])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _number(value: object) -> float:
    return float(str(value))


def _size(number: object) -> str:
    return "" if number is None else f"{_number(number) / 1e9:.2f} GB"


def _ago(at_s: object, now_s: float) -> str:
    return "never" if at_s is None else f"{max(now_s - _number(at_s), 0.0):.0f} s ago"
