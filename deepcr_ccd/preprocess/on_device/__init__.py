"""The preprocessing of frames, done where the network runs, such as on a GPU."""
