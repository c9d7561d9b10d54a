"""The page: its calls, the server, and what it ships to the browser."""
