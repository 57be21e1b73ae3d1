"""Northwind's files as a book: small ones of our own, in the same form, whole and broken."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from services.demo import northwind
from services.demo.book import Line

ORDERS = """\
orderID,customerID,orderDate,shipName,shipAddress,shipCity,shipRegion,shipPostalCode,shipCountry
1,ANNA,1996-07-04,Anna & Co,Long Street 5,Ghent,NULL,9000,Belgium
2,BERT,1996-07-05,Bert,Rua do Paço, 67, back,Porto,Norte,4000,Portugal
"""
DETAILS = """\
orderID,productID,unitPrice,quantity,discount
1,7,14.10,3,0.05
1,8,2.00,1,0
2,7,0.15,10,0.15
"""
PRODUCTS = """\
productID,productName,unitsInStock
7,Chai,39
8,Chang,17
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "order-details.csv").write_text(DETAILS)
    (tmp_path / "products.csv").write_text(PRODUCTS)
    return tmp_path


def change(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))


def fault(folder: Path) -> str:
    with pytest.raises(northwind.BadBook) as raised:
        northwind.read(folder)
    return str(raised.value).removeprefix(str(folder) + "/")


def test_orders_come_in_file_order_with_their_numbers_as_ids(folder: Path) -> None:
    first, second = northwind.read(folder).orders
    assert (first.order_id, first.customer_id, first.currency) == ("1", "ANNA", "USD")
    assert (second.order_id, second.customer_id) == ("2", "BERT")


def test_a_price_is_what_a_unit_costs_after_the_discount_in_cents(folder: Path) -> None:
    first, second = northwind.read(folder).orders
    assert first.lines == (Line("7", 3, Decimal("1339.5")), Line("8", 1, Decimal(200)))
    assert second.lines == (Line("7", 10, Decimal("12.75")),)


def test_a_line_is_rounded_half_even_to_the_cent(folder: Path) -> None:
    first, second = northwind.read(folder).orders
    assert first.amount == 4018 + 200  # 4018.5 goes to the even 4018
    assert second.amount == 128  # 127.5 goes to the even 128


def test_an_address_takes_the_commas_that_nobody_quoted(folder: Path) -> None:
    _, second = northwind.read(folder).orders
    assert second.ship_to == "Bert, Rua do Paço, 67, back, Porto, Norte, 4000, Portugal"


def test_null_leaves_its_part_out_of_the_address(folder: Path) -> None:
    first, _ = northwind.read(folder).orders
    assert first.ship_to == "Anna & Co, Long Street 5, Ghent, 9000, Belgium"


def test_listed_stock_is_what_the_products_list(folder: Path) -> None:
    assert northwind.read(folder).stock == {"7": 39, "8": 17}


def test_enough_stock_is_exactly_what_the_orders_ask_for(folder: Path) -> None:
    assert northwind.read(folder).with_enough_stock().stock == {"7": 13, "8": 1}


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        ("order-details.csv", "quantity", "qty", "order-details.csv, line 1, column quantity"),
        ("orders.csv", "shipRegion", "region", "orders.csv, line 1, column shipRegion"),
        ("products.csv", "unitsInStock", "stock", "products.csv, line 1, column unitsInStock"),
        (
            "order-details.csv",
            "1,7,14.10,3",
            "1,7,14.1O,3",
            "order-details.csv, line 2, column unitPrice",
        ),
        (
            "order-details.csv",
            "1,7,14.10,3",
            "1,7,NaN,3",
            "order-details.csv, line 2, column unitPrice",
        ),
        (
            "order-details.csv",
            "1,7,14.10,3",
            "1,7,1.00001,3",
            "order-details.csv, line 2, column unitPrice",
        ),
        (
            "order-details.csv",
            "1,8,2.00,1",
            "1,8,-2.00,1",
            "order-details.csv, line 3, column unitPrice",
        ),
        (
            "order-details.csv",
            "1,8,2.00,1",
            "1,8,2.00,0",
            "order-details.csv, line 3, column quantity",
        ),
        (
            "order-details.csv",
            "1,8,2.00,1",
            "1,8,2.00,1.5",
            "order-details.csv, line 3, column quantity",
        ),
        ("order-details.csv", "10,0.15", "10,1.15", "order-details.csv, line 4, column discount"),
        ("products.csv", "39", "many", "products.csv, line 2, column unitsInStock"),
        (
            "order-details.csv",
            "2,7,0.15",
            "2,9,0.15",
            "order-details.csv, line 4, column productID",
        ),
        ("order-details.csv", "2,7,0.15", "3,7,0.15", "order-details.csv, line 4, column orderID"),
        (
            "order-details.csv",
            "1,8,2.00",
            "1,7,2.00",
            "order-details.csv, line 3, column productID",
        ),
        ("order-details.csv", "2,7,0.15,10,0.15\n", "", "orders.csv, line 3, column orderID"),
        (
            "order-details.csv",
            "2,7,0.15,10,0.15",
            "2,7,0.15,10",
            "order-details.csv, line 4, column discount",
        ),
        (
            "order-details.csv",
            "2,7,0.15,10,0.15",
            "2,7,0.15,10,0,15",
            "order-details.csv, line 4, column discount",
        ),
        ("orders.csv", "2,BERT", "1,BERT", "orders.csv, line 3, column orderID"),
        ("orders.csv", "2,BERT", "2 b,BERT", "orders.csv, line 3, column orderID"),
        ("orders.csv", "2,BERT", "2,", "orders.csv, line 3, column customerID"),
        ("orders.csv", "Ghent", "G" * 200, "orders.csv, line 2, column shipAddress"),
        ("orders.csv", "Ghent", "G\x00ent", "orders.csv, line 2, column shipAddress"),
        ("orders.csv", "Anna & Co", '"Anna & Co', "orders.csv, line 3"),
        ("products.csv", "8,Chang", "7,Chang", "products.csv, line 3, column productID"),
    ],
)
def test_a_broken_file_is_named_with_line_and_column(
    folder: Path, file: str, old: str, new: str, place: str
) -> None:
    change(folder, file, old, new)
    assert fault(folder).startswith(f"{place}: ")


def test_a_product_that_nobody_lists_is_named(folder: Path) -> None:
    change(folder, "order-details.csv", "2,7,0.15", "2,99,0.15")
    assert "unknown product 99" in fault(folder)


def test_a_second_order_of_a_number_names_the_line_of_the_first(folder: Path) -> None:
    change(folder, "orders.csv", "2,BERT", "1,BERT")
    assert "order 1 is here already, in line 2" in fault(folder)


def test_a_bad_number_is_shown(folder: Path) -> None:
    change(folder, "order-details.csv", "1,7,14.10,3", "1,7,14.10,three")
    assert "not 'three'" in fault(folder)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_another_encoding_is_named_with_line_and_column(folder: Path, encoding: str) -> None:
    (folder / "orders.csv").write_text(ORDERS, encoding=encoding)
    assert fault(folder).startswith("orders.csv, line 3, column shipAddress: the text is not")


def test_another_encoding_is_found_in_a_column_that_nobody_reads(folder: Path) -> None:
    (folder / "products.csv").write_text(PRODUCTS.replace("Chang", "Châng"), encoding="latin-1")
    assert fault(folder).startswith("products.csv, line 3, column productName: the text is not")


def test_utf_16_is_found_in_the_first_line(folder: Path) -> None:
    (folder / "products.csv").write_text(PRODUCTS, encoding="utf-16")
    assert fault(folder).startswith("products.csv, line 1, column")


def test_a_byte_order_mark_and_a_last_empty_line_are_no_fault(folder: Path) -> None:
    (folder / "orders.csv").write_text(ORDERS + "\n", encoding="utf-8-sig")
    assert len(northwind.read(folder).orders) == 2


@pytest.mark.parametrize("file", ["orders.csv", "order-details.csv", "products.csv"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert fault(folder).startswith(f"{file}: cannot be read (No such file")


def test_every_fault_says_that_nothing_was_placed(folder: Path) -> None:
    (folder / "orders.csv").write_text("")
    assert fault(folder).endswith("; nothing was placed")
