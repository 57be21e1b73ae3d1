"""`stagepost check`: what it prints, as JSON too, and its exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagepost.engine import cli
from stagepost.engine.discovery import find_services
from stagepost.engine.findings import check
from stagepost.engine.findings import read as reading
from stagepost.engine.findings.read import read_system
from stagepost.engine.findings.shown import objects_of, text_of
from stagepost.engine.flow import Flow
from stagepost.engine.service import Service
from stagepost.errors import BadSettings
from tests.engine.systems import answer, command, event, service, system

ROOT = Path(__file__).parents[2]
CHAIN = "event chain without an owner"
CHOREOGRAPHED = ("--style", "choreographed")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEPOST_LINKS", "STYLE", "JSON"):
        monkeypatch.delenv(name, raising=False)


def typed(*arguments: str) -> int:
    """Type `stagepost check ...`; return its exit status."""
    return int(cli.app(["check", *arguments], result_action="return_value"))


def accept(**links: str) -> None:
    lines = [
        f'"{name.replace("_", "->")}" = {{ accepted = "{why}" }}' for name, why in links.items()
    ]
    Path("stagepost.toml").write_text("\n".join(["[links]", *lines, ""]))


# The sample.


@pytest.mark.parametrize("style", ["orchestrated", "synchronous"])
def test_the_sample_is_clean_where_somebody_owns_the_outcome(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    judged = check(read_system(Flow(style)))

    assert [one for one in judged if one.is_open] == []
    assert {one.finding.level for one in judged if one.accepted is None} <= {"note"}


def test_where_nobody_does_the_chain_is_found_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(*CHOREOGRAPHED) == 1

    printed = capsys.readouterr().out
    assert f"{CHAIN}: ordering -> payments -> inventory -> shipping\n" in printed
    assert "        payments  ..> inventory  PaymentReceived\n" in printed


# What is printed.


def test_json_has_a_stable_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(*CHOREOGRAPHED, "--json") == 1

    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert {tuple(one) for one in found} == {
        ("rule", "level", "place", "what", "way_out", "links", "drawing", "accepted")
    }
    (chain,) = (one for one in found if one["rule"] == CHAIN)
    assert chain["level"] == "finding"
    assert chain["accepted"] is None
    assert "payments->inventory" in chain["links"]
    assert chain["drawing"][1] == "payments  ..> inventory  PaymentReceived"


def test_the_text_says_what_is_found_where_and_the_way_out() -> None:
    told = event("crm", "LetterNeeded")
    crm = service("crm", sends=[told, event("crm", "Unread")])

    text = text_of(check(system(crm, service("mail", hears=[told]))))

    assert text.splitlines() == [
        "hint: command in disguise: crm->mail",
        "    LetterNeeded reads as a wish, and mail alone hears it",
        "    way out: make it a command of mail, named for what is to be done, with its answers",
        "",
        "note: nobody reads Unread, which crm tells",
        "",
        "1 hint, 1 note",
    ]


def test_where_nothing_is_found_it_says_so() -> None:
    assert text_of(check(system())) == "nothing found"


def test_what_is_found_has_the_name_of_its_rule() -> None:
    ask, other = command("mail", "Send"), command("mail", "Unheard")
    reply = answer("WasSent", ask)
    crm = service("crm", sends=[ask, other])
    mail = service("mail", sends=[reply], hears=[ask, event("nobody", "Nothing")])

    assert {one.rule for one in check(system(crm, mail))} == {
        "command without one recipient",
        "command that cannot be refused",
        "message that nobody sends",
        "event that nobody reads",
    }


# Its exit status.


def test_hints_and_notes_are_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed() == 0
    assert "hint: command in disguise: ordering->fulfillment" in capsys.readouterr().out


def test_what_is_accepted_is_shown_with_its_reason_and_no_reason_to_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, back = event("crm", "Asked"), event("mail", "Answered")
    crm = service("crm", sends=[told], hears=[back])
    mail = service("mail", sends=[back], hears=[told])
    _installed(monkeypatch, crm, mail)
    assert typed() == 1
    accept(crm_mail="the two are one team")
    capsys.readouterr()

    assert typed() == 0

    printed = capsys.readouterr().out
    assert printed.count("    accepted: the two are one team\n") == 2
    assert printed.endswith("2 accepted\n")


def _installed(monkeypatch: pytest.MonkeyPatch, *services: Service) -> None:
    """Let these be the services that there are."""

    def find(_style: str = "") -> dict[str, Service]:
        return {service.name: service for service in services}

    for module in ("discovery", "flow", "findings.read"):
        monkeypatch.setattr(f"stagepost.engine.{module}.find_services", find)
    monkeypatch.setattr(reading, "find_reaches", lambda _folders: [])
    monkeypatch.setattr(reading, "find_messages", list)


def test_an_acceptance_of_one_link_leaves_the_others_open() -> None:
    accept(payments_inventory="goods are fetched anyway")

    judged = check(read_system(Flow("choreographed")))

    assert any(one.rule == CHAIN and one.is_open for one in judged)


def test_an_unknown_style_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exits:
        typed("--style", "improvised")
    assert exits.value.code != 0
    assert 'Choose from: "orchestrated"' in " ".join(capsys.readouterr().err.split())


# What stagepost.toml may say.


def test_what_is_said_of_a_link_of_another_style_is_no_mistake() -> None:
    accept(payments_inventory="it is so there", fulfillment_payments="and here")
    for style in ("orchestrated", "choreographed"):
        read_system(Flow(style))


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("payments_shipping", "payments sends nothing to shipping"),
        ("fulfilment_payments", "did you mean fulfillment?"),
    ],
)
def test_an_acceptance_of_a_link_that_there_is_in_no_style_is_refused(link: str, said: str) -> None:
    accept(**{link: "why not"})
    with pytest.raises(BadSettings) as refused:
        typed()
    assert said in str(refused.value)


def test_a_decision_on_what_is_no_link_is_refused() -> None:
    Path("stagepost.toml").write_text(
        "[links.payments.decided]\n"
        'kind = "event"\noutcome = "payments"\nbecause = "so"\non = 2026-01-01\n'
    )

    with pytest.raises(BadSettings, match="'payments' is no link: write it as sender->reader"):
        typed()


def test_a_link_that_is_decided_on_before_it_is_there_is_a_finding() -> None:
    Path("stagepost.toml").write_text(
        '[links."payments->shipping".decided]\n'
        'kind = "event"\noutcome = "shipping"\nbecause = "so"\non = 2026-01-01\n'
    )

    (found,) = (one for one in check(read_system(Flow())) if one.is_open)

    assert found.rule == "decision contradicted"
    assert found.finding.what.endswith("the code sends no event there")


# What is gathered.


def test_contracts_that_no_service_sends_in_any_style_are_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(read_system(Flow("choreographed")).unspoken) == []

    def without_payments(style: str) -> dict[str, Service]:
        mute = replace(find_services(style)["payments"], sends=())
        return find_services(style) | {"payments": mute}

    monkeypatch.setattr(reading, "find_services", without_payments)

    unspoken = read_system(Flow()).unspoken

    assert {message.__name__ for message in unspoken} == {
        "PaymentReceived",
        "PaymentDeclined",
        "PaymentRefunded",
    }


def test_json_of_nothing_is_an_empty_list() -> None:
    assert objects_of(check(system())) == []
