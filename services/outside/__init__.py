"""The world around us as a process of its own: a payment provider and a carrier with ledgers."""
