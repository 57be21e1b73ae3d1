"""Northwind's CSV files as an order book, read as they are.

They quote nothing: where a ship-to address has commas, its row has more cells than the header.
Only that column may spill over; it takes what is too many.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.values import Address, CustomerId, OrderId, Quantity, Sku
from services.demo.book import Book, Line, Order
from stagepost.errors import StagepostError

MAX_LINES = 100
NOTHING = "NULL"
"""How the files write that a cell is empty."""

_SHIP_TO = ("shipName", "shipAddress", "shipCity", "shipRegion", "shipPostalCode", "shipCountry")
_SPILLS = "shipAddress"


class BadBook(StagepostError):
    """An order book that cannot be read; the message names file, line and column."""

    def __init__(self, file: Path, fault: str, *, line: int = 0, column: str = "") -> None:
        place = [str(file), f"line {line}" if line else "", f"column {column}" if column else ""]
        super().__init__(f"{', '.join(filter(None, place))}: {fault}; nothing was placed")


class _Row(BaseModel):
    """A row of a file, with the line it stands in; the aliases are the columns that we read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    line: int


class _OrderRow(_Row):
    order_id: OrderId = Field(alias="orderID")
    customer_id: CustomerId = Field(alias="customerID")
    ship_to: Address = Field(alias="shipAddress")


class _DetailRow(_Row):
    """One line of an order; the bounds on decimals keep the price within what ordering takes."""

    order_id: OrderId = Field(alias="orderID")
    sku: Sku = Field(alias="productID")
    unit_price: Annotated[Decimal, Field(alias="unitPrice", ge=0, le=10**9, decimal_places=4)]
    quantity: Quantity = Field(alias="quantity")
    discount: Annotated[Decimal, Field(alias="discount", ge=0, le=1, decimal_places=4)]


class _ProductRow(_Row):
    sku: Sku = Field(alias="productID")
    units_in_stock: int = Field(alias="unitsInStock", ge=0, le=10**9)


R = TypeVar("R", bound=_Row)


def read(folder: Path) -> Book:
    """Read orders, their lines and the stock from a folder of CSV files.

    Raises:
        BadBook: a file is missing or broken.
    """
    orders_csv, details_csv = folder / "orders.csv", folder / "order-details.csv"
    stock = _stock(folder / "products.csv")
    rows = _orders(orders_csv)
    if not rows:
        raise BadBook(orders_csv, "there is no order", line=2, column="orderID")
    lines = _lines(details_csv, rows, stock)
    orders = tuple(_order(orders_csv, row, lines[row.order_id]) for row in rows.values())
    return Book(str(folder), orders, stock)


def _stock(file: Path) -> dict[str, int]:
    stock: dict[str, int] = {}
    for row in _rows(file, _ProductRow):
        if row.sku in stock:
            fault = f"product {row.sku} is here twice"
            raise BadBook(file, fault, line=row.line, column="productID")
        stock[row.sku] = row.units_in_stock
    return stock


def _orders(file: Path) -> dict[str, _OrderRow]:
    orders: dict[str, _OrderRow] = {}
    for row in _rows(file, _OrderRow, more=_SHIP_TO):
        if row.order_id in orders:
            fault = f"order {row.order_id} is here already, in line {orders[row.order_id].line}"
            raise BadBook(file, fault, line=row.line, column="orderID")
        orders[row.order_id] = row
    return orders


def _lines(
    file: Path, orders: dict[str, _OrderRow], stock: dict[str, int]
) -> dict[str, dict[str, Line]]:
    """Read the lines of all orders: by order, then by product, each once."""
    lines: dict[str, dict[str, Line]] = {order_id: {} for order_id in orders}
    for row in _rows(file, _DetailRow):
        if row.order_id not in lines:
            fault = f"there is no order {row.order_id}"
            raise BadBook(file, fault, line=row.line, column="orderID")
        if row.sku not in stock:
            raise BadBook(file, f"unknown product {row.sku}", line=row.line, column="productID")
        if row.sku in lines[row.order_id]:
            fault = f"order {row.order_id} has product {row.sku} twice"
            raise BadBook(file, fault, line=row.line, column="productID")
        price = row.unit_price * 100 * (1 - row.discount)
        lines[row.order_id][row.sku] = Line(row.sku, row.quantity, price)
    return lines


def _order(file: Path, row: _OrderRow, lines: dict[str, Line]) -> Order:
    if not 1 <= len(lines) <= MAX_LINES:
        fault = f"order {row.order_id} has {len(lines)} lines, it must have 1 to {MAX_LINES}"
        raise BadBook(file, fault, line=row.line, column="orderID")
    return Order(
        order_id=row.order_id,
        customer_id=row.customer_id,
        lines=tuple(lines.values()),
        currency="USD",
        payment_token="tok_ok",  # noqa: S106  # a test card, no secret
        ship_to=row.ship_to,
    )


def _rows(file: Path, row: type[R], more: Sequence[str] = ()) -> Iterator[R]:
    """Read a file row by row; `more` are columns that it must have besides those of `row`."""
    columns = {field.alias for field in row.model_fields.values() if field.alias} | set(more)
    for line, cells in _cells(file, columns):
        try:
            yield row.model_validate({"line": line, **cells})
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            column = str(fault["loc"][0])
            said = f"{fault['msg']}, not {cells[column]!r:.80}"
            raise BadBook(file, said, line=line, column=column) from None


def _cells(file: Path, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells by column of each row; a broken byte is found here."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = next(reader, [])
            _check_encoding(file, 1, header, header)
            for missing in sorted(columns.difference(header)):
                raise BadBook(file, "there is no such column", line=1, column=missing)
            for cells in filter(None, reader):
                yield reader.line_num, _by_column(file, reader.line_num, header, cells)
    except csv.Error as error:
        raise BadBook(file, str(error), line=reader.line_num) from None
    except OSError as error:
        raise BadBook(file, f"cannot be read ({error.strerror})") from None


def _by_column(file: Path, line: int, header: list[str], cells: list[str]) -> dict[str, str]:
    surplus = len(cells) - len(header)
    if surplus < 0:
        raise BadBook(file, "the row ends before it", line=line, column=header[len(cells)])
    if surplus and _SPILLS not in header:
        raise BadBook(file, "the row goes on after it", line=line, column=header[-1])
    if _SPILLS in header:
        start = header.index(_SPILLS)
        end = start + surplus + 1
        cells = [*cells[:start], ",".join(cells[start:end]), *cells[end:]]
    _check_encoding(file, line, header, cells)
    row = dict(zip(header, cells, strict=True))
    if _SPILLS in row:
        row[_SPILLS] = ", ".join(row[part] for part in _SHIP_TO if row[part] != NOTHING)
    return row


def _check_encoding(file: Path, line: int, header: list[str], cells: list[str]) -> None:
    """Find the cell with bytes that are no UTF-8: they were read as lone surrogates."""
    for column, cell in zip(header, cells, strict=True):
        if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
            shown = column.encode("utf-8", "replace").decode()
            raise BadBook(file, "the text is not encoded in UTF-8", line=line, column=shown)
