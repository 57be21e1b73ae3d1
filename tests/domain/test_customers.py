"""Customers, told as given, when, then."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts import customers
from services.customers.customer import Customer, Email, PersonName
from services.customers.handlers import HANDLERS
from services.customers.requests import ChangeCustomer, Kept, RegisterCustomer, Registered
from stagepost.errors import Changed, Conflict, NotFound, Refused
from stagepost.messages import Message
from stagepost.testing import given

ada = RegisterCustomer(customer_id="ada", name="Ada Lovelace", email="Ada@example.org")
registered = customers.CustomerRegistered(customer_id="ada")


def change(seen: int | None = 1, **what: str) -> ChangeCustomer:
    versions = None if seen is None else frozenset({seen})
    return ChangeCustomer(customer_id="ada", seen=versions, **what)


def as_stored(*history: Message) -> tuple[str, str]:
    customer = given(HANDLERS, *history).one(Customer, Customer.stream("ada"))
    assert customer is not None
    return customer.name, customer.email


def test_who_registers_is_a_customer_and_others_hear_no_more_than_the_id() -> None:
    then = given(HANDLERS).when(ada)
    then.then(registered)
    assert then.answer == Registered(customer_id="ada")
    assert then.topics == ["customers.Customer.Registered", "customers.Claim.Made"]


def test_the_same_customer_once_more_is_the_same_customer() -> None:
    then = given(HANDLERS, ada).when(ada)
    then.then_nothing()
    assert then.answer == Registered(customer_id="ada")


def test_another_customer_under_the_same_id_is_refused() -> None:
    with pytest.raises(Conflict, match="there is a customer 'ada' already"):
        given(HANDLERS, ada).when(ada.model_copy(update={"name": "Ada King"}))


@pytest.mark.parametrize("email", ["Ada@example.org", "ada@EXAMPLE.org"])
def test_an_address_is_one_customer_s_in_upper_case_or_lower(email: str) -> None:
    with pytest.raises(Conflict, match="another customer has this e-mail address"):
        given(HANDLERS, ada).when(RegisterCustomer(customer_id="eve", name="Eve", email=email))


def test_a_customer_is_changed_by_who_has_seen_them_as_they_are() -> None:
    then = given(HANDLERS, ada).when(change(name="Ada King"))
    then.then()
    assert then.topics == ["customers.Customer.Changed"]
    assert then.answer == Kept(version=2)


def test_what_is_left_out_of_a_change_stays() -> None:
    assert as_stored(ada, change(name="Ada King")) == ("Ada King", "Ada@example.org")
    assert as_stored(ada, change(email="ada@x.org")) == ("Ada Lovelace", "ada@x.org")


def test_who_has_seen_another_version_is_refused() -> None:
    with pytest.raises(Changed, match="customer 'ada' has changed"):
        given(HANDLERS, ada, change(name="Ada King")).when(change(1, name="Eve"))


def test_who_does_not_care_what_they_have_seen_is_heard() -> None:
    given(HANDLERS, ada, change(name="Ada King")).when(change(None, name="Countess")).then()


def test_a_change_to_what_it_is_already_changes_nothing() -> None:
    then = given(HANDLERS, ada).when(change(name="Ada Lovelace", email="Ada@example.org"))
    then.then_nothing()
    assert then.answer == Kept(version=1)


def test_an_unknown_customer_cannot_be_changed() -> None:
    with pytest.raises(NotFound, match="there is no customer 'ada'"):
        given(HANDLERS).when(change(name="Eve"))


def test_an_address_that_is_given_up_is_free_for_another() -> None:
    moved = given(HANDLERS, ada, change(email="ada@example.net"))
    eve = RegisterCustomer(customer_id="eve", name="Eve", email="ada@example.org")
    moved.when(eve).then(customers.CustomerRegistered(customer_id="eve"))
    with pytest.raises(Conflict):
        moved.when(ChangeCustomer(customer_id="eve", seen=None, email="ada@example.net"))


def test_an_address_can_be_had_back() -> None:
    moved = given(HANDLERS, ada, change(email="ada@example.net"))
    then = moved.when(change(2, email="ada@example.org"))
    assert then.topics == [
        *("customers.Customer.Changed", "customers.Claim.GivenUp", "customers.Claim.MadeAgain"),
    ]


def test_another_way_to_write_an_address_moves_no_claim() -> None:
    then = given(HANDLERS, ada).when(change(email="ADA@example.org"))
    assert then.topics == ["customers.Customer.Changed"]


def test_what_is_refused_says_nothing_personal() -> None:
    eve = RegisterCustomer(customer_id="eve", name="Eve Adams", email="eve@example.org")
    service = given(HANDLERS, ada, eve, change(name="Ada King"))
    for request in (
        ada.model_copy(update={"email": "eve@example.org"}),
        RegisterCustomer(customer_id="bob", name="Bob", email="eve@example.org"),
        change(2, email="eve@example.org"),
        change(1, name="Eve"),
    ):
        with pytest.raises(Refused) as refused:
            service.when(request)
        said = refused.value.detail.lower()
        assert not [word for word in ("lovelace", "king", "eve", "@") if word in said]


def test_no_message_of_ours_has_a_name_or_an_address() -> None:
    told = (customers.CustomerRegistered, customers.CustomerOnboarded, customers.OnboardingOverdue)
    fields = {field for message in told for field in message.model_fields}
    assert fields == {"customer_id", "tries"}


@pytest.mark.parametrize(
    "email",
    [
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        "a da@x.org",
        "ada@x.org\n",
        "a,b@x.org",
        "=?utf-8?q?eve=40x.org=0A?=@x.org",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Email).validate_python(email)


@pytest.mark.parametrize("name", ["", "Ada\nBcc: eve", "\x00", "Ada\u2028", "a" * 201])
def test_what_cannot_stand_in_a_letter_s_first_line_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PersonName).validate_python(name)
