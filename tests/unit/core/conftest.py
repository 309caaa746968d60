from __future__ import annotations

from tests.unit.pure import pure

__all__ = ["pure"]
