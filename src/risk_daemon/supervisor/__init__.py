"""Starts, stops and watches the others, and says who is active. Knows nothing of rules."""
