"""The transports that a link can have, by the names that settings give them."""

from typing import Literal, get_args

TransportName = Literal["nats", "kafka", "http"]

NATS = "nats"
"""Over the broker NATS JetStream."""

KAFKA = "kafka"
"""Over the broker Kafka."""

HTTP = "http"
"""Straight: commands as a POST to the recipient, events from the source's feed."""

TRANSPORTS: tuple[str, ...] = get_args(TransportName)
