"""`python -m tests.corpus`: write down what this release stores, where it is something new."""

from __future__ import annotations

import sys

from tests.corpus.stored import SERVICES, folder, newest, released, text_of, written_now


def main() -> None:
    """Write the next file of each service whose newest is not what is stored now."""
    for service in SERVICES:
        text = text_of(written_now(service))
        if newest(service) != text:
            folder(service).mkdir(exist_ok=True)
            file = folder(service) / f"{len(released(service)) + 1:04}.jsonl"
            file.write_text(text)
            sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
