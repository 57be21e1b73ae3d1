"""Takes money once for (caller, reference), and gives back what it took."""
