"""A message stands in the module of its owner where a person would have written it."""

from __future__ import annotations

import pytest

from stagepost.engine.scaffold.message import Base, Wanted, check_name, with_message
from stagepost.errors import BadSettings

HEAD = '''"""What payments can be asked, and what it tells."""

from __future__ import annotations

from contracts.values import CustomerId, OrderId
from stagepost.messages import Answer, Command, Event
'''
COMMANDS = '''

class Take(Command):
    """Take it."""

    order_id: OrderId


class Give(Command):
    """Give it."""

    KEY = "customer_id"
    customer_id: CustomerId
'''
ANSWERS = '''

class Taken(Answer, to=Take):
    """It is taken."""

    order_id: OrderId


class Given(Answer, to=Give):
    """It is given."""

    KEY = "customer_id"
    customer_id: CustomerId
'''
EVENTS = '''

class Lost(Event):
    """It is lost."""

    order_id: OrderId


def helper() -> None:
    pass
'''
WHOLE = HEAD + COMMANDS + ANSWERS + EVENTS


def classes(text: str) -> list[str]:
    return [line.split()[1].split("(")[0] for line in text.splitlines() if line[:6] == "class "]


def wanted(name: str, base: Base, to: str | None = None) -> Wanted:
    return Wanted("payments", name, base, to)


@pytest.mark.parametrize(
    ("text", "message", "above"),
    [
        (WHOLE, wanted("Hold", Base.COMMAND), "Give"),
        (WHOLE, wanted("Found", Base.EVENT), "Lost"),
        (WHOLE, wanted("NotTaken", Base.REFUSAL, "Take"), "Taken"),
        (HEAD + COMMANDS + EVENTS, wanted("NotTaken", Base.REFUSAL, "Take"), "Take"),
        (HEAD + EVENTS + COMMANDS, wanted("NotTaken", Base.REFUSAL, "Take"), "Take"),
        (HEAD + COMMANDS + EVENTS, wanted("Hold", Base.COMMAND), "Give"),
        (HEAD + EVENTS, wanted("Hold", Base.COMMAND), "Lost"),
        (HEAD + COMMANDS + ANSWERS, wanted("Found", Base.EVENT), "Given"),
    ],
    ids=lambda value: value.name if isinstance(value, Wanted) else "",
)
def test_it_stands_below_its_like(text: str, message: Wanted, above: str) -> None:
    names = classes(with_message(text, message))

    assert names[names.index(message.name) - 1] == above
    assert [name for name in names if name != message.name] == classes(text)


def test_an_answer_to_an_answered_command_stands_below_the_other_answers() -> None:
    text = HEAD + COMMANDS + ANSWERS.split("\n\n\nclass Given", maxsplit=1)[0] + EVENTS

    assert classes(with_message(text, wanted("Given", Base.ANSWER, "Give"))) == [
        *("Take", "Give", "Taken", "Given", "Lost"),
    ]


def test_the_first_message_of_an_owner_is_about_an_order() -> None:
    text = with_message(HEAD, wanted("Lost", Base.EVENT))

    assert text.endswith('class Lost(Event):\n    """Lost."""\n\n    order_id: OrderId\n\n\n')
    assert "from contracts.values import OrderId\n" in text


@pytest.mark.parametrize(
    "message", [wanted("NotGiven", Base.REFUSAL, "Give"), wanted("Hold", Base.COMMAND)]
)
def test_what_it_is_about_is_that_of_its_command_or_of_the_message_before(message: Wanted) -> None:
    made = with_message(HEAD + COMMANDS, message).split(f"class {message.name}")[1]

    assert '"""\n\n    KEY = "customer_id"\n    customer_id: CustomerId\n' in made


@pytest.mark.parametrize("name", ["Taken", "helper", "OrderId", "Command"])
def test_a_name_that_the_module_has_is_taken(name: str) -> None:
    with pytest.raises(BadSettings, match=rf"{name} in contracts/payments\.py already"):
        with_message(WHOLE, wanted(name, Base.EVENT))


def test_a_command_that_is_not_there_is_said_with_the_nearest() -> None:
    with pytest.raises(BadSettings, match="no command of payments called 'Tak'; did you mean Take"):
        with_message(WHOLE, wanted("NotTaken", Base.REFUSAL, "Tak"))
    with pytest.raises(BadSettings, match="there are: Take, Give"):
        with_message(WHOLE, wanted("NotLost", Base.REFUSAL, "Lost"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chargeback_received", "such as ChargebackReceived"),
        ("chargebackReceived", "such as ChargebackReceived"),
        ("payments.ChargebackReceived", "such as PaymentsChargebackReceived"),
        ("Chargeback-received", "such as ChargebackReceived"),
        ("9Received", "such as PaymentReceived"),
        ("", "such as PaymentReceived"),
        ("X" * 65, "such as PaymentReceived"),
        ("None", "means something in Python"),
        ("TimeoutError", "means something in Python"),
    ],
)
def test_what_can_be_no_name_is_said_with_what_could(name: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        check_name(name)
