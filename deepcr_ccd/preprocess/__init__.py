"""From pixels to what a network sees: background, noise, normalization."""
