"""The second caller's changes fit, and are what they say; when money counts as agreeing."""

from __future__ import annotations

import pytest

from tests.experiments.checkout import IS_WALKED, changed
from tests.experiments.second_caller import CHAINED, COMMANDED, keeps
from tests.experiments.second_caller_seen import Money, Seen

AS_CLONED = pytest.mark.skipif(IS_WALKED, reason="it fits the sample as it was cloned")
ORDERS = Money(
    caller="fulfillment",
    payments=9,
    asked_again=0,
    most_charges=1,
    provider=700,
    says=700,
    counted_on=700,
    unasked=4,
)
FEES = ORDERS.model_copy(update={"caller": "returns", "asked_again": 2})
SEEN = Seen(
    orders=9, accepted=3, refused={}, killed=[2], money=[ORDERS, FEES], promises=16, broken={}
)


@AS_CLONED
def test_where_payments_is_commanded_no_service_changes_for_a_second_caller() -> None:
    with changed(COMMANDED) as copy:
        assert copy.diff.services == copy.diff.new_services == {"returns"}


@AS_CLONED
def test_where_nobody_commands_payments_changes_and_no_other() -> None:
    with changed(CHAINED) as copy:
        assert copy.diff.touched_services == {"payments"}


def test_it_came_out_as_claimed_where_all_agree_and_every_promise_holds() -> None:
    assert keeps(SEEN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"money": [ORDERS]},
        {"money": [ORDERS, FEES.model_copy(update={"asked_again": 0})]},
        *(
            {"money": [ORDERS, FEES.model_copy(update={what: figure})]}
            for what, figure in [
                *(("provider", 699), ("says", 699), ("counted_on", 699)),
                ("most_charges", 2),
            ]
        ),
        {"broken": {"5 money agrees to the cent": "by one"}},
        {"killed": []},
        {"killed": [2, 0]},
    ],
)
def test_it_did_not_where_anything_is_otherwise(wrong: dict[str, object]) -> None:
    assert not keeps(SEEN.model_copy(update=wrong))
