"""Fuzzing with odd values and metadata: ``python -m tests.fuzz --minutes N`` prints counts.

Each kind of input is made from random pieces. The library may accept it, or refuse it with a
``NowcastError``; any other exception is counted as a traceback and shown with its input. Mutated
bytes of files are left to ``tests.hostile``.
"""
