"""Networks with their cards: read, written, listed and run."""
