"""Takes customers' orders, and remembers how they ended."""
