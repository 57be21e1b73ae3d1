"""`python -m stagepost` is the command line."""

from stagepost.engine.cli import main

main()
