"""Where a PostgreSQL server is, and how somebody connects to one of its databases."""

from __future__ import annotations

from dataclasses import dataclass

SUPERUSER = "postgres"
PORT = 5432
"""It names the socket, too."""
MAX_CONNECTIONS = 200
SETTINGS = {
    "max_connections": str(MAX_CONNECTIONS),
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
"""Of a statement that fails the log says why, but neither what it says nor the row."""


@dataclass(frozen=True)
class Server:
    """A server at a host, or behind a socket in a folder, with its superuser's password."""

    host: str
    password: str

    def dsn(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return how to connect to a database; without a user, as the superuser."""
        secret = password or self.password
        return f"postgresql://{user}:{secret}@/{database}?host={self.host}&port={PORT}"
