"""The rules: functions that decide what an input does to the state.

Each takes a `jupyter_queueserver.core.decision.Step`, emits changes and effects, or raises a
`jupyter_queueserver.core.errors.QueueServerError`.
"""
