"""One broker login: the only room that talks to the broker and lets a request out."""
