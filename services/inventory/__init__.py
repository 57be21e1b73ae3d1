"""Knows what is on the shelf, and holds it for whoever asks first."""
