"""Sends letters and mails, and keeps the proof."""
