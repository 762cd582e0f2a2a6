"""Startup code that raises, as the test of it expects: by line 8."""


def divide():
    return answer / 0  # noqa: F821


divide()
