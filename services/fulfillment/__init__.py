"""Steers one order from placed to confirmed, or undoes whatever was done for it."""
