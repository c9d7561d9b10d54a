"""CCDData in, CCDData out: the functions that users call on a frame."""
