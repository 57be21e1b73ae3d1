"""A server's configuration: where it listens, what it stores, and an account for each.

What may go from one account to another follows from the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stagepost.engine.external import OPERATOR
from stagepost.engine.links import Links
from stagepost.engine.service import Service
from stagepost.engine.transports.nats_api import API, OWN_API
from stagepost.engine.transports.nats_rules import (
    ADMIN,
    STREAMS,
    Rights,
    operator_permissions,
    permissions,
    rights_of,
)

SYNC_INTERVAL = "1s"
"""What a machine that dies may lose. A relay sends its own again; decision 23 has what it costs."""


CONNECTIONS = 64
"""How many a service, or a sender, has at most: an instance has one."""
SUBSCRIPTIONS = 200
"""How many a connection has at most: one for each service that it reads, and a few."""


class Tls(NamedTuple):
    """How a server proves who it is: files with its certificate and the key to it."""

    certificate: Path
    key: Path


def nats_config(
    services: Sequence[Service],
    links: Links,
    *,
    host: str,
    port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    tls: Tls | None = None,
    monitor: str | None = None,
) -> str:
    """Return a server's configuration: where it listens, JetStream on file, who may do what.

    `passwords` has one for each of the `users`. At `monitor` the server says how it is, to whoever
    asks.
    """
    jetstream = {"store_dir": str(store_dir), "sync_interval": SYNC_INTERVAL}
    accounts = _accounts(rights_of(services, links), passwords)
    return "\n".join(
        (
            'server_name: "stagepost"',
            f"host: {json.dumps(host)}",
            f"port: {port}",
            f"max_subscriptions: {SUBSCRIPTIONS}",
            *([f"http: {json.dumps(monitor)}"] if monitor else []),
            f"jetstream {json.dumps(jetstream)}",
            *([_tls(tls)] if tls else []),
            f"accounts {json.dumps(accounts, indent=1)}",
            "",
        )
    )


def _tls(tls: Tls) -> str:
    files = json.dumps(str(tls.certificate)), json.dumps(str(tls.key))
    return f"tls {{ cert_file: {files[0]}, key_file: {files[1]} }}"


def _accounts(rights: Mapping[str, Rights], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the account of the streams, and one for each who has these rights."""
    inside: dict[str, dict[str, Any]] = {
        ADMIN: {},
        OPERATOR: {"permissions": operator_permissions()},
    }
    streams = {
        "jetstream": "enabled",
        "users": [_user(name, passwords, more) for name, more in inside.items()],
        "mappings": {f"{API}.>": f"{OWN_API}.>"},
        "exports": _exports(rights),
    }
    return {STREAMS: streams} | {
        name: {
            "users": [_user(name, passwords, {"permissions": permissions(name, those)})],
            "limits": {"max_connections": CONNECTIONS},
            "imports": [
                {"service": {"account": STREAMS, "subject": subject}, "to": those.called(subject)}
                for subject in those.uses
            ],
        }
        for name, those in rights.items()
    }


def _user(name: str, passwords: Mapping[str, str], more: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": name, "password": passwords[name], **more}


def _exports(rights: Mapping[str, Rights]) -> list[dict[str, Any]]:
    """Return what leaves the streams' account, each with whom it may go to."""
    subjects = sorted({subject for those in rights.values() for subject in those.uses})
    return [
        {
            "service": subject,
            "accounts": [name for name, those in rights.items() if subject in those.uses],
            # Who asks for messages is given several.
            **({"response_type": "stream"} if ".MSG.NEXT." in subject else {}),
        }
        for subject in subjects
    ]
