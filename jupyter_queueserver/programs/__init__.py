"""Small programs beside `qserver` and `start-re-manager`: consoles, keys, the lock, the list of plans and devices.

Each is a module with a ``main(arguments)`` that returns the exit status; they are named in the table of
`jupyter_queueserver.__main__`.  None of them runs a manager or a worker inside itself.
"""
