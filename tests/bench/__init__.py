"""The bench: what the real thing does on two cores, beside yardsticks that ran in the same hour."""
