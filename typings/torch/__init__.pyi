"""torch as the type checker sees it, with and without the extra: everything is Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...
