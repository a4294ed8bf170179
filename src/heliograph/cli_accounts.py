"""What the commands below `heliograph accounts` show, and the export of usage, which reads the ledger itself."""

import asyncio
import csv
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer
from rich.table import Table

from heliograph import app
from heliograph.account_desk import usage
from heliograph.billing.usage_export import CSV_COLUMNS, UsageFormat, openmeter_event, stripe_event, usage_row
from heliograph.cli_simulate import moment
from heliograph.client import JsonObject
from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.domain.money import Micros, format_usd, to_micros
from heliograph.settings import Settings, read_settings

USD_MAX = 1_000_000


def micros_of(usd: str) -> int:
    """A person's dollars in micro-dollars. Raises `InvalidRequest`."""
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        raise InvalidRequest(f"{usd!r} is no amount of dollars; write 25 or 12.50", param="usd") from None
    if not amount.is_finite() or not 0 < abs(amount) <= USD_MAX:
        raise InvalidRequest(f"{usd} dollars: at most {USD_MAX:,}, and not 0", param="usd")
    return to_micros(amount)


def accounts_table(found: JsonObject) -> Table:
    """One tenant a row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("tenant", "plan", "pictures", "left", "charged", "on order", "left", "balance"):
        table.add_column(column, justify="left" if column in ("tenant", "plan") else "right", overflow="fold")
    for account in cast("list[JsonObject]", found["data"]):
        pictures_left, micros_left = account["pictures_left"], account["micros_left"]
        table.add_row(
            str(account["tenant"]),
            str(cast("JsonObject", account["plan"])["name"]),
            f"{account['pictures']:,}",
            "" if pictures_left is None else f"{pictures_left:,}",
            _usd(account["charged_micros"]),
            _usd(account["held_micros"]),
            "" if micros_left is None else _usd(micros_left),
            _usd(account["balance_micros"]),
        )
    return table


def posted_text(posted: JsonObject) -> str:
    """What a credit or refund did, for a person."""
    account = cast("JsonObject", posted["account"])
    done = f"{_usd(posted['micros'])} posted" if posted["micros"] else "Nothing to post: it was posted before"
    return f"{done}. {account['tenant']} has a balance of {_usd(account['balance_micros'])}."


def usage_command(
    since: Annotated[
        str | None, typer.Option(help="Only charges from this time on (ISO 8601, UTC).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only charges before this time (ISO 8601, UTC).", show_default=False)
    ] = None,
    shape: Annotated[
        UsageFormat, typer.Option("--format", help="Rows, or one event a line for OpenMeter or Stripe.")
    ] = UsageFormat.CSV,
    out: Annotated[Path | None, typer.Option(help="File to write to; by default the output.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)
    ] = None,
) -> None:
    """Write every charge and refund, oldest first, for another billing system."""
    settings = read_settings() if data_dir is None else read_settings(data_dir=data_dir)
    if not settings.data_dir.is_dir():
        raise NotFound(f"There is no ledger: {settings.data_dir} is not there.", param="data_dir")
    first_s, last_s = moment(since, "since", 0.0), moment(until, "until", float("inf"))
    if out is None:
        asyncio.run(_export(settings, first_s, last_s, shape, sys.stdout))
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            count = asyncio.run(_export(settings, first_s, last_s, shape, file))
    except OSError as error:
        raise InvalidRequest(f"{out} cannot be written: {error.strerror}", param="out") from error
    typer.echo(f"{count:,} charges and refunds are in {out}")


def usage_secret_command(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where jobs, ledger and pictures are kept.", show_default=False)
    ] = None,
) -> None:
    """Print the secret that signs what goes to `billing.usage_url`."""
    typer.echo(app.usage_secret(read_settings() if data_dir is None else read_settings(data_dir=data_dir)))


async def _export(settings: Settings, first_s: float, last_s: float, shape: UsageFormat, file: TextIO) -> int:
    store = await app.open_store(settings, claims=False)
    count = 0
    try:
        rows = csv.writer(file, lineterminator="\n")
        if shape is UsageFormat.CSV:
            rows.writerow(CSV_COLUMNS)
        async for line in usage(store, since_s=first_s, until_s=last_s):
            count += 1
            at = datetime.fromtimestamp(line.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            match shape:
                case UsageFormat.CSV:
                    rows.writerow(usage_row(line, at=at))
                case UsageFormat.OPENMETER:
                    file.write(json.dumps(openmeter_event(line, at=at)) + "\n")
                case UsageFormat.STRIPE:
                    file.write(json.dumps(stripe_event(line)) + "\n")
    finally:
        await store.close()
    return count


def _usd(micros: object) -> str:
    return format_usd(Micros(int(str(micros))))
