"""How a service reaches the others, whatever its links are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stagepost.engine.links import Links
from stagepost.engine.recipients import NoRecipients, Recipients
from stagepost.engine.transports import NoWords, Transport, Words


@dataclass(frozen=True)
class Network:
    """The links, and what they go over.

    `transports` by the names that links have, `words` between instances of a service, `recipients`
    of commands over HTTP. `hears_outside`: messages of senders without an outbox come here too.
    """

    transports: Mapping[str, Transport]
    words: Words = field(default_factory=NoWords)
    recipients: Recipients = field(default_factory=NoRecipients)
    links: Links = field(default_factory=Links)
    hears_outside: bool = False
