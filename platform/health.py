"""Ask a service in this container whether it is ready: `python platform/health.py 8001`.

It runs every few seconds beside each service, so it imports next to nothing.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

SECONDS = 3


def is_ready(port: int) -> bool:
    """Tell whether what listens on this port has all that it needs."""
    asked = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        asked.request("GET", "/health/ready")
        return asked.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        asked.close()


if __name__ == "__main__":
    sys.exit(not is_ready(int(sys.argv[1])))
