from __future__ import annotations

import re

from multitransport.protocol.codes import CloseCode, ErrorCode, is_final
from multitransport.protocol.generate import typescript
from tests.architecture.source import BROWSER_CLIENT, ROOT

PROTOCOL = (ROOT / "docs/reference/protocol.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return what stands under a heading of the protocol page."""
    return PROTOCOL.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_browser_client_has_the_same_codes() -> None:
    copy = (BROWSER_CLIENT / "src/codes.ts").read_text(encoding="utf-8")
    assert copy == typescript(), "run: python -m multitransport.protocol.generate > multitransport/js/src/codes.ts"


def test_the_protocol_page_lists_the_close_codes() -> None:
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \| (\d{3}) \|.*\| (.*?) \|$", section("Close codes"), flags=re.MULTILINE)
    documented = {(int(code), name, int(status)) for code, name, status, _ in rows}
    assert documented == {(code.value, code.name.lower(), code.http_status) for code in CloseCode}
    stops = {int(code) for code, _, _, then in rows if then == "stops"}
    assert stops == {code.value for code in CloseCode if is_final(code)} - {CloseCode.SUPERSEDED}


def test_the_protocol_page_lists_the_error_codes() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", section("Error codes"), flags=re.MULTILINE))
    assert documented == {str(code) for code in ErrorCode}
