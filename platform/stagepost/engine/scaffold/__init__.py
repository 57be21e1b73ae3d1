"""Scaffolds: what `stagepost new` adds to a checkout, written as a person would write it."""
