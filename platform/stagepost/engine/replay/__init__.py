"""Replay: logs and folds, and nothing else. Nothing here can send, set a timer or call anybody."""
