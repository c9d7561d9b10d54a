"""Where models come from: this package, others, one's own folders, and registries."""
