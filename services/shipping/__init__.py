"""Hands parcels to the carrier."""
