"""Training data and the training loop."""
