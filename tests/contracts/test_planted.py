"""In a copy of this checkout a change that breaks somebody is seen, and so is what does not run."""

from __future__ import annotations

from tests.experiments.checkout import changed

CHECK = ("-m", "stagepost", "contracts", "check")


async def test_a_unit_that_is_changed_fails_the_check_and_the_tests() -> None:
    with changed() as copy:
        values = copy.folder / "contracts/values.py"
        values.write_text(values.read_text().replace("minor unit of the currency", "euro"))
        checked = await copy.run(*CHECK)
        released = await copy.run("-m", "stagepost", "contracts", "release")
        tested = await copy.run("-m", "pytest", "-q", "tests/contracts/test_golden.py")

    assert (checked.status, released.status, tested.status) == (1, 1, 1)
    assert "payments.RetrievePayment 1 /amount: changed unit: " in checked.out
    assert "breaks payments: old readers, new messages; new readers, old messages" in checked.out
    assert "payments.PaymentReceived 1 /amount: changed unit: " in tested.out
    assert "1 failed" in tested.out


async def test_contracts_that_do_not_import_end_with_status_2_and_say_where() -> None:
    with changed() as copy:
        payments = copy.folder / "contracts/payments.py"
        payments.write_text(payments.read_text().replace("class RefundPayment", "class GiveBack"))
        ran = await copy.run(*CHECK)

    assert ran.status == 2
    assert ran.out.startswith("stagepost: contracts.payments does not import: NameError: name 'Re")
    assert "(at contracts.payments, line " in ran.out
