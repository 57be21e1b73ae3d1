"""What is found about what services tell each other; each rule fires, and holds its peace."""

from __future__ import annotations

from stagepost.engine.findings.events import (
    cycles_of_subscriptions,
    ownerless_chains,
    unread,
    unsent,
)
from stagepost.engine.findings.graphs import WAYS, graph_of, longest_way
from stagepost.engine.findings.values import Level
from stagepost.engine.links import Link
from stagepost.engine.service import Service
from stagepost.messages import Event, Timer
from stagepost.process import Process, State, ignore
from tests.engine.systems import answer, command, event, service, system

ORDERED = event("shop", "Ordered")
PAID = event("bank", "Paid")
PACKED = event("store", "Packed")
SENT = event("post", "Sent")

SHOP = service("shop", sends=[ORDERED])
BANK = service("bank", sends=[PAID], hears=[ORDERED])
STORE = service("store", sends=[PACKED], hears=[PAID])
POST = service("post", sends=[SENT], hears=[PACKED])


class Waiting(State):
    pass


class Due(Timer):
    OWNER, DELAY = "someone", 1


def owner(name: str, *, of: type[Event], sends: tuple[type[Event], ...]) -> Service:
    """Return a service whose process starts on an event."""
    home = Process[State](
        name=name,
        initial=Waiting(),
        react=lambda state, _: ignore(state),
        starts_on=of,
        listens_to=(),
        states=(Waiting,),
        done=(),
        due=Due,
    )
    return service(name, sends=sends, processes=[home])


# An event chain without an owner.


def test_three_services_in_a_row_through_events_are_found_and_drawn() -> None:
    (found,) = ownerless_chains(system(SHOP, BANK, STORE))

    assert found.place == "shop -> bank -> store"
    assert found.what.startswith("3 services in a row")
    assert found.drawing == ("shop ..> bank   Ordered", "bank ..> store  Paid")
    assert found.links == {"shop->bank", "bank->store"}


def test_two_services_are_no_chain_nor_is_one_event_that_many_read() -> None:
    readers = [service(name, hears=[ORDERED]) for name in ("store", "post")]

    assert list(ownerless_chains(system(SHOP, BANK, *readers))) == []


def test_two_services_that_hear_each_other_are_no_chain() -> None:
    shop = service("shop", sends=[ORDERED], hears=[PAID])

    assert list(ownerless_chains(system(shop, BANK))) == []


def test_a_chain_has_an_owner_where_a_process_hears() -> None:
    bank = owner("bank", of=ORDERED, sends=(PAID,))

    assert list(ownerless_chains(system(SHOP, bank, STORE))) == []


def test_commands_and_their_answers_are_no_chain() -> None:
    pay, pack = command("bank", "Pay"), command("store", "Pack")
    paid, packed = answer("WasPaid", pay), answer("WasPacked", pack)
    home = service("home", sends=[pay, pack], hears=[ORDERED, paid, packed])
    bank = service("bank", sends=[paid], hears=[pay])
    store = service("store", sends=[packed], hears=[pack])

    assert list(ownerless_chains(system(SHOP, home, bank, store))) == []


def test_a_chain_that_leads_back_is_drawn_to_its_end() -> None:
    shop = service("shop", sends=[ORDERED], hears=[PACKED])

    (found,) = ownerless_chains(system(shop, BANK, STORE))

    assert found.drawing[-1] == "store ..> shop   Packed"


def test_a_chain_that_leads_back_is_drawn_from_where_it_begins_though_another_way_is_as_long() -> (
    None
):
    shop = service("shop", sends=[ORDERED], hears=[PACKED])
    points = service("points", hears=[ORDERED])

    (found,) = ownerless_chains(system(shop, BANK, STORE, points))

    assert found.place == "shop -> bank -> store"
    assert "shop->points" in found.links


def test_chains_that_have_nothing_in_common_are_found_one_by_one() -> None:
    told = [event(name, f"{name}Told") for name in ("one", "two")]
    others = [
        service("one", sends=[told[0]]),
        service("two", sends=[told[1]], hears=[told[0]]),
        service("three", hears=[told[1]]),
    ]

    found = ownerless_chains(system(SHOP, BANK, STORE, *others))

    assert [chain.place for chain in found] == ["shop -> bank -> store", "one -> two -> three"]


def test_a_chain_is_accepted_at_any_hop_that_breaks_it() -> None:
    whole = system(SHOP, BANK, STORE, accepted={"bank->store": "packing is no part of it"})

    (found,) = ownerless_chains(whole)

    assert found.links & whole.records.keys() == {"bank->store"}


def test_what_is_left_of_a_chain_beside_an_accepted_hop_is_found() -> None:
    most = system(SHOP, BANK, STORE, POST, accepted={"store->post": "the post is no part of it"})

    (found,) = ownerless_chains(most)

    assert found.place == "shop -> bank -> store"
    assert not found.links & most.records.keys()


def test_the_longest_way_is_looked_for_within_bounds_however_many_ways_there_are() -> None:
    """Every service tells every other: there are more ways than anybody has time for."""
    names = [f"s{number}" for number in range(14)]
    links = [Link(a, b, ORDERED, "nats") for a in names for b in names if a != b]

    assert len(longest_way(graph_of(links))) == len(names)
    assert WAYS < 14**5


# A cycle of subscriptions.


def test_services_that_hear_each_other_are_a_cycle() -> None:
    shop = service("shop", sends=[ORDERED], hears=[PACKED])

    (found,) = cycles_of_subscriptions(system(shop, BANK, STORE, POST))

    assert found.place == "shop, bank, store"
    assert found.drawing == (
        "shop  ..> bank   Ordered",
        "bank  ..> store  Paid",
        "store ..> shop   Packed",
    )


def test_of_several_ways_round_a_shortest_is_drawn() -> None:
    shop = service("shop", sends=[ORDERED], hears=[PACKED, PAID])

    (found,) = cycles_of_subscriptions(system(shop, BANK, STORE))

    assert found.place == "shop, bank, store"
    assert found.links == {"shop->bank", "bank->shop"}


def test_answers_that_come_back_and_what_a_service_tells_itself_are_no_cycle() -> None:
    pay = command("bank", "Pay")
    paid = answer("WasPaid", pay)
    shop = service("shop", sends=[ORDERED, pay], hears=[ORDERED, paid])
    bank = service("bank", sends=[paid], hears=[ORDERED, pay])

    assert list(cycles_of_subscriptions(system(shop, bank))) == []
    assert list(cycles_of_subscriptions(system(SHOP, BANK, STORE))) == []


def test_a_cycle_is_accepted_at_a_link_that_breaks_it() -> None:
    shop = service("shop", sends=[ORDERED], hears=[PAID])
    accepted = {"bank->shop": "a courtesy: the shop works without"}

    (found,) = cycles_of_subscriptions(system(shop, BANK, accepted=accepted))

    assert found.links == {"shop->bank", "bank->shop"}


# Words that nobody says, or hears.


def test_what_is_waited_for_and_never_sent_is_found() -> None:
    (found,) = unsent(system(service("bank", sends=[PAID], hears=[ORDERED])))

    assert found.place == "bank: shop.Ordered"
    assert found.what == "bank handles Ordered, and no service sends it"


def test_what_the_contracts_name_and_nobody_ever_sends_is_found() -> None:
    (found,) = unsent(system(SHOP, unspoken=[PAID]))

    assert found.place == "bank.Paid"


def test_what_is_sent_is_not_missed() -> None:
    assert list(unsent(system(SHOP, BANK))) == []


def test_an_event_that_nobody_reads_is_a_note_and_a_command_is_none() -> None:
    (found,) = unread(system(service("shop", sends=[ORDERED, command("bank", "Pay")])))

    assert found.level is Level.NOTE
    assert found.what == "nobody reads Ordered, which shop tells"


def test_an_event_that_somebody_reads_is_no_note() -> None:
    assert [note.place for note in unread(system(SHOP, BANK))] == ["bank: bank.Paid"]
