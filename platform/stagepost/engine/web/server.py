"""How an app is served: uvicorn, and the headers that every response carries."""

from __future__ import annotations

import uvicorn
from litestar import Litestar

# Swagger UI's style sheet holds its icons as data: images.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", _CONTENT_SECURITY_POLICY),
]
"""The server itself adds them: also to what it answers before the app is asked, and at no cost."""


def http_server(app: Litestar, *, host: str, port: int, fd: int | None = None) -> uvicorn.Server:
    """Make a server for an app, on a host and port or on the listening socket `fd`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            fd=fd,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            server_header=False,
            headers=SECURITY_HEADERS,
            timeout_graceful_shutdown=5,
        )
    )
