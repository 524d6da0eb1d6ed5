"""What is true of an account, and what follows from it. Pure: no clock, no I/O, no chance."""
