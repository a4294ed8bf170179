"""An operator's orders on disk, so that they outlive the server: one small JSON file, replaced as a whole."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt, Orders, Scope


class OrdersFile:
    """The file at `path`; a missing one says that nothing was ordered."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Orders:
        """The orders as they were kept last. Raises `Unavailable` for a file that cannot be read."""
        if not self._path.exists():
            return Orders()
        try:
            return _parsed(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"{self._path} cannot be read: {error}. Delete it to begin without orders.", code="orders_damaged"
            ) from error

    async def keep(self, orders: Orders) -> None:
        """Return once the orders are durable. Raises `Unavailable`; then the earlier ones are still there."""
        await asyncio.to_thread(self._write, orders)

    def _write(self, orders: Orders) -> None:
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(_document(orders), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(
                f"The order cannot be kept in {self._path}: {error.strerror}.",
                code="orders_not_kept",
                retry_after_s=5.0,
            ) from error


def _document(orders: Orders) -> dict[str, Any]:
    return {
        "halts": [
            {
                "scope": halt.scope.value,
                "name": halt.name,
                "lets_finish": halt.lets_finish,
                "is_drain": halt.is_drain,
            }
            for halt in orders.halts
        ],
        "pins": list(orders.pins),
        "caps": dict(orders.caps),
        "wanted": dict(orders.wanted),
    }


def _parsed(document: dict[str, Any]) -> Orders:
    return Orders(
        halts=tuple(
            Halt(
                scope=Scope(halt["scope"]),
                name=str(halt["name"]),
                lets_finish=bool(halt["lets_finish"]),
                is_drain=bool(halt["is_drain"]),
            )
            for halt in document["halts"]
        ),
        pins=tuple(ModelId(name) for name in document["pins"]),
        caps={ModelId(name): int(number) for name, number in document["caps"].items()},
        wanted={ModelId(name): float(until_s) for name, until_s in document["wanted"].items()},
    )
