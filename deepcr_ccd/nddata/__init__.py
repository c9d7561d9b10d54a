"""Users' objects: taken apart into plain arrays, and put together again."""
