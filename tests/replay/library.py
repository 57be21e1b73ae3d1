"""The `eventsourcing` library's own application and recorders, on a database of ours."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.sql import SQL

from stagepost.aggregate import from_stored, to_stored

AS_WRITER = """
CREATE TYPE stored_event_uuid AS (
  originator_id uuid, originator_version bigint, topic text, state bytea);
GRANT SELECT, INSERT, MAINTAIN ON stored_events TO "{role}";
GRANT USAGE ON SEQUENCE stored_events_notification_id_seq TO "{role}";
"""
"""What the owner of a store gives to who writes with the library's recorder, and its type.

MAINTAIN is for its table lock; one that UPDATE would allow rewrites history.
"""


class OurMapper(Mapper[UUID]):
    """Bodies as they are stored here: ids in their columns, upcast before they are validated."""

    def __init__(self) -> None:
        pass

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        return to_stored(domain_event)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return from_stored(stored_event)


class JoinedRecorder(PostgresApplicationRecorder):
    """The library's recorder, taking our lock before its own."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        ours = SQL("SELECT pg_advisory_xact_lock(hashtext('stagepost.append'))")
        self.lock_table_statements.insert(0, ours)


class Shop(Application[UUID]):
    """An application of the library; without a name, so that its tables are ours."""

    name: ClassVar[str] = ""

    def construct_mapper(self) -> Mapper[UUID]:
        return OurMapper()


def environment(dsn: str, **more: str) -> dict[str, str]:
    """Say to the library where a database of ours is."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "CREATE_TABLE": "n",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": query["host"][0],
        "POSTGRES_PORT": query["port"][0],
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
        **more,
    }
