"""Live sessions: hubs, media and conversation."""

import os

# One thread computes numpy's products: on a machine whose cores are busy, waiting for more of them holds up every call. Read when numpy is
# first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
