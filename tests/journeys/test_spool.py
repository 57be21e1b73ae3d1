"""Where no mail server is named, mails lie in the spool among the data."""

from __future__ import annotations

from hashlib import sha256

import aiohttp

from stagepost.engine.stack import Stack
from tests.journeys.customer import Customer


async def test_a_letter_lies_in_the_spool_and_its_hash_is_the_proof(stack: Stack) -> None:
    async with aiohttp.ClientSession(headers=stack.headers) as http:
        customer = Customer(http, stack)
        await customer.register("spooled")
        await customer.until_onboarding("spooled", "Onboarded")
        found = await customer.until_notified("spooled", {"welcome/customers/spooled": "sent"})
    letter = found["welcome/customers/spooled"]
    file = stack.data / "mail" / letter["said"].rpartition(" ")[2]
    assert b"To: spooled@example.org" in file.read_bytes()
    assert letter["sha256"] == sha256(file.read_bytes()).hexdigest()
