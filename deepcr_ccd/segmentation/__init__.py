"""Connected pixels: labels, peaks, growth of masks, hysteresis thresholds."""
