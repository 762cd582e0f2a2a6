"""What runs in the worker's kernel: startup code, RunEngine, plans, devices.

The only room that imports bluesky and ophyd.  Importing the package itself loads nothing.
"""
