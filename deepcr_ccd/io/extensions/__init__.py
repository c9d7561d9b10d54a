"""What the extensions of a FITS file are: images, masks, flags, noise."""
