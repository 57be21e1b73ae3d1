"""Who may call which route: the one gate of an app asks for a token before anything is read.

A route says it as `opt=STAFF`; one that says nothing is for operators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import monotonic
from typing import Any

from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)

from stagepost.engine.roles import Role
from stagepost.engine.tokens import AccessToken, Verifier
from stagepost.engine.web.problems import AnyRequest

ALLOWED = "allowed"
NAMED = "named"
Allowed = Mapping[str, frozenset[Role]]

OPEN: Allowed = {ALLOWED: frozenset()}
"""Who asks need not say who they are."""
OPERATORS: Allowed = {ALLOWED: frozenset({Role.OPERATOR})}
STAFF: Allowed = {ALLOWED: frozenset({Role.STAFF, Role.OPERATOR})}
CUSTOMERS: Allowed = {ALLOWED: frozenset({Role.CUSTOMER, Role.STAFF, Role.OPERATOR})}
"""Customers only see what is theirs: each such route asks `may_see`, or `own_id`."""
SERVICES: Allowed = {ALLOWED: frozenset({Role.SERVICE})}
FEED_READERS: Allowed = {ALLOWED: frozenset({Role.SERVICE, Role.OPERATOR})}
"""Each service is held to what it has declared: see `peers.py`."""

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SECOND = {"Retry-After": "1"}


def customers_and(*services: str) -> Mapping[str, frozenset[str]]:
    """Return the option of a route for customers, and for these services: for no other."""
    return {ALLOWED: frozenset(Role), NAMED: frozenset(services)}


def allowed_by(opt: Mapping[str, Any]) -> frozenset[Role]:
    """Return the roles that may call a route with these options; none where it is open."""
    allowed: frozenset[Role] = opt.get(ALLOWED, OPERATORS[ALLOWED])
    return allowed


def named_by(opt: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the services that may call a route with these options, None where none is named."""
    return opt.get(NAMED)


class Access:
    """Lets a request pass whose token says that it may; notes who asks in `request.user`.

    A customer makes `limit` requests a second at most, and an address brings as many tokens that
    are not known yet: of each instance.
    """

    def __init__(self, verifier: Verifier, limit: int) -> None:
        self._verifier = verifier
        self._limit = limit
        self._second = 0.0
        self._asked: Counter[str] = Counter()

    async def __call__(self, request: AnyRequest) -> None:
        """Let the request pass.

        Raises:
            NotAuthorizedException: it has no token of ours.
            PermissionDeniedException: this is not for who asks.
            TooManyRequestsException: they have asked too much.
        """
        allowed = allowed_by(request.route_handler.opt)
        if not allowed or request.method == "OPTIONS":
            return
        caller = self._caller(request)
        if caller.role not in allowed:
            raise PermissionDeniedException(
                f"the token's role is {caller.role}; this takes {' or '.join(sorted(allowed))}"
            )
        if caller.role is Role.SERVICE:
            _check_named(caller.sub, named_by(request.route_handler.opt))
        if caller.role is Role.CUSTOMER:
            self._count(f"customer {caller.sub}")
        request.scope["user"] = caller

    def _caller(self, request: AnyRequest) -> AccessToken:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthorizedException(headers=_CHALLENGE)
        if (known := self._verifier.known(encoded)) is not None:
            return known
        self._count(f"address {request.client.host if request.client else ''}")
        try:
            return self._verifier.check(encoded)
        except NotAuthorizedException:
            raise NotAuthorizedException(
                "the token is not one of ours, or has expired", headers=_CHALLENGE
            ) from None

    def _count(self, who: str) -> None:
        now = monotonic()
        if now >= self._second:
            self._asked.clear()
            self._second = now + 1
        self._asked[who] += 1
        if self._asked[who] > self._limit:
            raise TooManyRequestsException(
                f"no more than {self._limit} requests a second", headers=_SECOND
            )


def _check_named(service: str, named: frozenset[str] | None) -> None:
    if named is not None and service not in named:
        raise PermissionDeniedException(
            f"who asks is the service {service}; of services this takes {', '.join(sorted(named))}"
        )


def caller_of(request: AnyRequest) -> AccessToken:
    """Return who asks, on a route that is not open."""
    caller: AccessToken = request.user
    return caller


def own_id(request: AnyRequest) -> str | None:
    """Return the id of the customer who asks; None where somebody does who sees all of them."""
    caller = caller_of(request)
    return caller.sub if caller.role is Role.CUSTOMER else None


def may_see(request: AnyRequest, customer_id: str) -> bool:
    """Tell whether who asks may see what is this customer's. To others it is not there."""
    return own_id(request) in {None, customer_id}


def act_for(request: AnyRequest, customer_id: str) -> None:
    """Let a customer do something in their own name only.

    Raises:
        PermissionDeniedException: they try it in another's.
    """
    if not may_see(request, customer_id):
        raise PermissionDeniedException("a customer acts in their own name only")
