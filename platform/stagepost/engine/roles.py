"""What somebody who asks over HTTP may be; decision 24 says what each may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Whom a token is for."""

    CUSTOMER = "customer"
    STAFF = "staff"
    OPERATOR = "operator"
    SERVICE = "service"
