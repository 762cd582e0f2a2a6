"""Startup code that raises, as the test of it expects: by line 8."""


def divide():
    return 1 / 0


divide()
