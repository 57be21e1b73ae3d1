"""The contracts as values: what they say, whether they still fit what was released."""
