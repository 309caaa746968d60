from __future__ import annotations

import pytest

from multitransport.node.tokens import Tokens, hash_secret
from multitransport.protocol.frames import HelloOptions

TOKENS = Tokens(["key"])


def test_a_token_tells_its_session_and_the_hash_of_its_secret() -> None:
    token = TOKENS.sign("session 1", "secret")
    assert TOKENS.read(token) == ("session 1", hash_secret("secret"))


def test_a_token_fits_into_a_hello() -> None:
    token = TOKENS.sign("s" * 22, "t" * 22)
    assert len(token) < 200
    assert HelloOptions(v=1, new="n" * 22, attach=1, token=token).token == token


@pytest.mark.parametrize("token", ["", ".", "a.b", "null", "x" * 1024, "ünï.cödé", "W10.W10", "\0"])
def test_what_is_no_token_is_none(token: str) -> None:
    assert TOKENS.read(token) is None


def test_a_token_with_any_character_changed_is_none() -> None:
    token = TOKENS.sign("session 1", "secret")
    for at, character in enumerate(token[:-1]):
        forged = token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
        assert TOKENS.read(forged) is None


def test_a_token_cut_short_is_none() -> None:
    token = TOKENS.sign("session 1", "secret")
    assert all(TOKENS.read(token[:length]) is None for length in range(len(token)))


def test_the_parts_of_two_tokens_make_none() -> None:
    one, other = TOKENS.sign("session 1", "secret"), TOKENS.sign("session 2", "secret")
    assert TOKENS.read(one.rpartition(".")[0] + "." + other.rpartition(".")[2]) is None


def test_a_token_signed_with_a_foreign_key_is_none() -> None:
    assert TOKENS.read(Tokens(["foreign"]).sign("session 1", "secret")) is None


def test_what_the_application_signs_with_the_same_key_is_none() -> None:
    other = Tokens(["key"])
    other._serializer.salt = b"cookie-session"
    assert TOKENS.read(other.sign("session 1", "secret")) is None


def test_keys_can_be_changed_without_losing_sessions() -> None:
    old, both, new = Tokens(["old"]), Tokens(["old", "new"]), Tokens(["new"])
    issued_before, issued_after = old.sign("s", "x"), both.sign("s", "x")
    expected = ("s", hash_secret("x"))
    assert both.read(issued_before) == both.read(issued_after) == expected
    # The newest key signs, so that the old one can be dropped later.
    assert new.read(issued_after) == expected
    assert old.read(issued_after) is None
    assert new.read(issued_before) is None


def test_hashes_are_compared() -> None:
    assert Tokens.same(hash_secret("a"), hash_secret("a"))
    assert not Tokens.same(hash_secret("a"), hash_secret("b"))
    assert not Tokens.same(hash_secret("a"), b"")
