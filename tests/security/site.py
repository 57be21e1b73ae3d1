"""A running shop, as whoever has a token of it sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from contracts import payments
from stagepost.engine.envelope import Envelope
from stagepost.engine.roles import Role
from stagepost.engine.tokens import Issuer, bearer
from stagepost.messages import encode, example


@dataclass(frozen=True)
class Site:
    """Where the services are, and who makes tokens for them."""

    urls: Mapping[str, str]
    issuer: Issuer

    def asked_by(self, role: Role, name: str, service: str = "ordering") -> httpx.AsyncClient:
        """Return a client of one service."""
        return self.asked_with(bearer(self.issuer.token(role, name, days=1)), service)

    def asked_with(
        self, headers: Mapping[str, str], service: str = "ordering"
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.urls[service], headers=headers, timeout=30)


def a_name(prefix: str) -> str:
    """Return a name that nobody had before, wherever this runs."""
    return f"{prefix}-{uuid4().hex[:12]}"


def charge_for(order: str, **more: object) -> Envelope:
    """Return the command by which fulfillment has an order paid; `more` is what else it says."""
    kind = payments.RetrievePayment
    said = json.loads(encode(example(kind, order_id=order, reference=order))) | more
    return Envelope(
        id=uuid4(),
        type=kind.TYPE,
        version=kind.VERSION,
        kind=kind.KIND,
        source="fulfillment",
        key=order,
        recipient="payments",
        correlation=uuid4(),
        causation=uuid4(),
        body=json.dumps(said).encode(),
        incarnation=1,
        position=1,
        time=datetime.now(UTC),
    )


def order_of(customer_id: str, order_id: str) -> dict[str, object]:
    return {
        "order_id": order_id,
        "customer_id": customer_id,
        "lines": [{"sku": "no-such-thing", "quantity": 1, "unit_price": "100"}],
        "currency": "EUR",
        "payment_token": "tok_ok",
        "ship_to": "1 Station Road, Reims",
    }
