"""Stored streams of every released version, beside the services; what they made then they make now.

`python -m tests.corpus` writes down what this release stores, as the next file of each service in
which something is stored otherwise than before.
"""
