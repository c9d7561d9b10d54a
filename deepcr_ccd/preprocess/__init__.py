"""From pixels to the input of a network: background, noise, normalization."""
