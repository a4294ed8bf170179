"""What stands in for the pool of processes where further files of pictures are made."""

import asyncio
from collections.abc import Callable

from heliograph.domain.errors import HeliographError
from heliograph.variant_making import MadeVariant, VariantTask, make_variants


class InThisProcess:
    """Makes them at once, unsigned; `gate` holds it up, `error` breaks it, `tasks` are what it was asked for."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: HeliographError | None = None
        self.tasks: list[VariantTask] = []

    async def variants(
        self, task: VariantTask, *, spent: Callable[[int], None] | None = None
    ) -> tuple[MadeVariant, ...]:
        self.tasks.append(task)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if spent is not None:
            spent(1_000)
        return make_variants(task, None)
