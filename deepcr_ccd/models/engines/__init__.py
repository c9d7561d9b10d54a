"""What runs a network: PyTorch or OpenVINO, on which device, in what precision."""
