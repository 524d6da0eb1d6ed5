"""The minimal protector: what guards accounts when no release does. The standard library only."""
