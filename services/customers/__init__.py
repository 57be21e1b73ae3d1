"""Knows who our customers are, keeps their personal data to itself, and sees them onboarded."""
