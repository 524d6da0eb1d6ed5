"""What holds for every test: a property is judged by what it finds, never by how long it took."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
