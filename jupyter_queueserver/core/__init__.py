"""The rules of the queue, pure: no sockets, files, clock, random numbers or logging.

Everything that decides anything lives here; the rooms around it only carry inputs in and effects out.
"""
