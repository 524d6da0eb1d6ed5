"""One release at work: folds the stream, decides, and acts only where it holds the lease."""
