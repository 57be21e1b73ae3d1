"""The HTTP layer: what services' `api.py` and the runtime need of it."""

from stagepost.engine.web.app import make_app
from stagepost.engine.web.common import Probe
from stagepost.engine.web.inputs import Authenticate
from stagepost.engine.web.paging import Limit, Page, Position, page_of
from stagepost.engine.web.problems import Problem, problems
from stagepost.engine.web.server import Server, http_server

__all__ = [
    "Authenticate",
    "Limit",
    "Page",
    "Position",
    "Probe",
    "Problem",
    "Server",
    "http_server",
    "make_app",
    "page_of",
    "problems",
]
