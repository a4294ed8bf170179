"""Orders on disk: what was kept comes back, and half a file is told from none."""

from pathlib import Path

import pytest

from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.fleet.orders_file import OrdersFile

ORDERS = Orders(
    halts=(Halt(scope=Scope.POOL, name="H100", lets_finish=True), Halt(scope=Scope.SYSTEM, is_drain=True)),
    pins=(ModelId("a"),),
    caps={ModelId("b"): 0},
    wanted={ModelId("c"): 12.5},
)


async def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    assert OrdersFile(path).read() == Orders()
    await OrdersFile(path).keep(ORDERS)
    assert OrdersFile(path).read() == ORDERS
    await OrdersFile(path).keep(Orders())
    assert OrdersFile(path).read() == Orders()
    assert [each.name for each in tmp_path.iterdir()] == ["orders.json"]


async def test_what_cannot_be_kept_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    await OrdersFile(path).keep(ORDERS)
    (tmp_path / "orders.new").mkdir()
    with pytest.raises(Unavailable) as caught:
        await OrdersFile(path).keep(Orders())
    assert caught.value.code == "orders_not_kept"
    assert OrdersFile(path).read() == ORDERS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"halts": []}', '{"halts": [{}], "pins": [], "caps": {}, "wanted": {}}']
)
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(text)
    with pytest.raises(Unavailable, match=r"orders\.json") as caught:
        OrdersFile(path).read()
    assert caught.value.code == "orders_damaged"
