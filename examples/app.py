"""All the examples in one application: `multitransport run app:app` in this directory, or `python app.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the package `examples` is

from examples.chat.chat import pages as chat
from examples.cluster.cluster import NODE
from examples.cluster.cluster import pages as cluster
from examples.dashboard.dashboard import pages as dashboard
from examples.index.index import pages as index
from examples.jobs.jobs import pages as jobs
from examples.shared import serve
from examples.ticker.ticker import pages as ticker

# The market of the ticker and the tasks of the jobs are in the memory of one process.
app = serve(index, dashboard, chat, *([cluster] if NODE else [ticker, jobs]))

if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
