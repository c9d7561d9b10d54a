"""What values flagged pixels are given: from their surroundings, or by a network."""
