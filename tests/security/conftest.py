"""Where the services are that these tests ask: a stack of their own, or one that runs elsewhere.

SITE_URLS='{"ordering": "http://127.0.0.1:8001", ...}' SITE_TOKEN_SECRET=... name another.
"""

from __future__ import annotations

import json
import os

import pytest

from stagepost.engine.stack import Stack
from stagepost.engine.stack.keys import issuer_of
from stagepost.engine.tokens import Issuer
from tests.security.site import Site


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    if urls := os.environ.get("SITE_URLS"):
        return Site(json.loads(urls), Issuer(os.environ["SITE_TOKEN_SECRET"]))
    stack: Stack = request.getfixturevalue("stack")
    return Site({name: stack.url(name) for name in stack.services}, issuer_of(stack.passwords))
