"""The services: none imports another, and the same file names mean the same in each."""
