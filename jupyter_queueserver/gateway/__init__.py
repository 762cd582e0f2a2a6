"""The Jupyter server extension: REST and websockets in front of the manager, with Jupyter's own authentication.

It holds no state of the queue: whatever a browser sees comes from the manager, and killing the Jupyter server loses nothing.
It must not import bluesky, ophyd or numpy.
"""
