"""The manager, its watchdog and their settings.

The manager owns the queue; the watchdog keeps a manager alive.  Importing this package loads nothing: the
watchdog must stay small.
"""
