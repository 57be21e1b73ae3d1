"""Gives points for what customers buy; nobody else knows that it does."""
