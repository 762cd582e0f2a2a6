"""Documents: the journal that the worker writes and the relay process that delivers it.

The worker's only duty is :class:`~jupyter_queueserver.documents.journal.JournalWriter`; everything else here reads.
This package must not import bluesky, ophyd, numpy, pandas or tiled when it is imported.
"""
