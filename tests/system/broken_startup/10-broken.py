"""Startup code that raises, as the test of it expects: in line 5."""


def divide():
    return answer / 0  # noqa: F821


divide()
