"""Views: tables for reading, folded from a service's own events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from stagepost.aggregate import DomainEvent


class Row(BaseModel):
    """One row of a view; its fields are the table's columns."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def changed(self, **values: object) -> Self:
        """Return the row with these values, validated: cheaper than `model_copy`, which is not."""
        return self.__pydantic_validator__.validate_python(self.__dict__ | values)  # type: ignore[no-any-return]  # it says Any


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the store: where, when, and what."""

    position: int
    recorded_at: datetime
    event: DomainEvent


@dataclass(frozen=True)
class View(Generic[R]):
    """A fold of events into rows: `name` is the table, `key` its primary key column.

    `key_of` says which row an event belongs to (None: not of this view); `fold` makes the new row
    of the old one. The statements `load_<name>` and `save_<name>` stand in the service's
    `sql/queries.sql`. A view equals its replay because both are this fold.
    """

    name: str
    row: type[R]
    key: str
    key_of: Callable[[DomainEvent], str | None]
    fold: Callable[[R | None, Recorded], R]
