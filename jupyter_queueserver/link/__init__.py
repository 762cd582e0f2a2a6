"""What the manager and the worker say to each other, and how one finds the other again.

Messages, spool of reports, console, bells, launch and adoption.  This room decides nothing about the queue and imports
neither bluesky nor a kernel.
"""
