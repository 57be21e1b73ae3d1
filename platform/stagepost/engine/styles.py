"""How the services of a flow work together: chosen at start, the same for all of them."""

ORCHESTRATED = "orchestrated"
"""One of them commands the others, over a broker."""

SYNCHRONOUS = "synchronous"
"""One of them commands the others, and waits for each answer."""

CHOREOGRAPHED = "choreographed"
"""Nobody commands: each reacts to what the others tell."""

STYLES = (ORCHESTRATED, SYNCHRONOUS, CHOREOGRAPHED)
