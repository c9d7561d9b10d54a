"""Engines that run networks: PyTorch and OpenVINO; devices and precisions."""
