"""The services that an order passes through: what is measured, and what is simulated."""

from __future__ import annotations

ORDER_FLOW = frozenset({"ordering", "payments", "inventory", "shipping", "fulfillment"})
