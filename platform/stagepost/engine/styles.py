"""How the services of a flow work together: chosen at start, the same for all of them."""

from typing import Literal, get_args

Style = Literal["orchestrated", "synchronous", "choreographed"]

ORCHESTRATED: Style = "orchestrated"
"""One of them commands the others, over a broker."""

SYNCHRONOUS: Style = "synchronous"
"""One of them commands the others, and waits for each answer."""

CHOREOGRAPHED: Style = "choreographed"
"""Nobody commands: each reacts to what the others tell."""

STYLES: tuple[str, ...] = get_args(Style)
