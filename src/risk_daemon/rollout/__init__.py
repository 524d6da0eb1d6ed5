"""How a release gets from one test account to all of them, and back."""
