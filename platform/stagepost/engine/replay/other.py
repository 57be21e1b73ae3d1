"""Other code: a function that a person names, found from the folder where they are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from stagepost.engine.replay.given import unknown
from stagepost.engine.replay.rerun import React
from stagepost.errors import BadSettings


def load_react(name: str) -> React:
    """Return the function that `module:function` names.

    Raises:
        BadSettings: there is none, or its module cannot be imported.
    """
    module_name, _, function = name.partition(":")
    if not module_name or not function:
        raise BadSettings(f"{name!r} names no code: write it as my_module:react")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise BadSettings(f"{module_name} cannot be imported: {error!r}") from error
    found = getattr(module, function, None)
    if found is None:
        known = [each for each, value in vars(module).items() if callable(value)]
        raise unknown(f"function of {module_name}", function, known)
    if not callable(found):
        raise BadSettings(f"{name} is {type(found).__name__}, not a function")
    react: React = found
    return react
