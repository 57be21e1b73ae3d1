"""Reading settings: what is missing, wrong or unknown is named, and what it is for."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.exceptions import SettingsError

from stagepost.engine.discovery import find_own_settings
from stagepost.engine.settings import PREFIX, SECRETS, Settings, secrets_folder
from stagepost.errors import BadSettings

OTHERS = (SECRETS, "STAGEPOST_PARENT", "STAGEPOST_OWNER_DATABASE", "STAGEPOST_TOKEN_SECRET")
"""Of no class of settings: read here, by the stack, by `stagepost migrate`, `stagepost token`."""


def load_settings(folder: Path | None = None) -> Settings:
    """Read the settings from the environment, then from the files of a folder.

    Without a folder from those of STAGEPOST_SECRETS, where that is given.

    Raises:
        BadSettings: names every setting that is missing, wrong or unknown, and what it is for.
    """
    folder = folder or secrets_folder()
    refuse_unknown(folder)
    try:
        return Settings(_secrets_dir=folder)
    except SettingsError as error:
        name = str(error).split('"')[1]
        purpose = Settings.model_fields[name].description
        fault = "cannot be read" if isinstance(error.__cause__, OSError) else "is no JSON"
        raise BadSettings(f"cannot start: {PREFIX}{name.upper()} {fault} ({purpose})") from None
    except ValidationError as error:
        faults = "; ".join(
            f"STAGEPOST_{str(fault['loc'][0]).upper()}: {fault['msg']}"
            f" ({Settings.model_fields[str(fault['loc'][0])].description})"
            for fault in error.errors(include_input=False)
        )
        raise BadSettings(f"cannot start, settings are missing or wrong: {faults}") from None


def refuse_unknown(folder: Path | None = None) -> None:
    """Make sure that whatever looks like a setting is one: a slip would be ignored in silence.

    Raises:
        BadSettings: a variable, or a file of the folder, has a name that nobody reads.
    """
    known = _names() | set(OTHERS)
    files = [file.name for file in folder.iterdir()] if folder else []
    for name in sorted(name.upper() for name in (*os.environ, *files)):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadSettings(f"cannot start: there is no setting {name}{hint}")


def _names() -> set[str]:
    """Return the name of every setting that a service or a part of the world around reads."""
    own = [kind for module in find_own_settings().values() for kind in vars(module).values()]
    kinds: list[type[BaseSettings]] = [Settings]
    kinds += (kind for kind in own if isinstance(kind, type) and issubclass(kind, BaseSettings))
    return {
        f"{kind.model_config['env_prefix']}{field}".upper()
        for kind in kinds
        for field in kind.model_fields
    }
