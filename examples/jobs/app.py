"""The jobs alone: `multitransport run app:app` in this directory, or `python app.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # where the package `examples` is

from examples.jobs.jobs import pages
from examples.shared import serve

app = serve(pages)

if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
