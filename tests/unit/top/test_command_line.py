"""What is wrong with the command line is said before anything is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastcollab.cli import app
from fastcollab.top.source import check_url

KEY = "k" * 40


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("FASTCOLLAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(*arguments: str, status: int = 1) -> str:
    result = CliRunner().invoke(app, ["top", *arguments])
    assert (result.exit_code, result.stdout) == (status, "")
    assert KEY not in result.stderr
    return result.stderr


def test_no_key() -> None:
    assert "no key to the admin API" in refused("--once")


@pytest.mark.parametrize("content", ["", "two keys", "é" * 40])
def test_a_key_file_without_a_key(content: str) -> None:
    Path("key").write_text(content, encoding="utf-8")
    assert "has to have one key" in refused("--key-file", "key", "--once")


def test_no_key_file() -> None:
    assert "key cannot be read: No such file" in refused("--key-file", "key", "--once")


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_OPS__API_KEYS", KEY)
    assert "http://127.0.0.1:9 cannot be reached: Connection refused" in refused(
        "--url", "http://127.0.0.1:9", "--once"
    )
    assert "cannot be reached" in refused("--url", "http://nobody.invalid", "--once")


def test_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_OPS__API_KEYS", KEY)
    assert "--once prints one picture" in refused()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8081", "ws://a", "http://", "http://a:x", "http://a:0", "http://a\x1b", "http://[a", "file:///a"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        check_url(url)
    assert "\x1b" not in refused("--url", url, status=2)


def test_passwords_are_not_shown_so_there_are_none() -> None:
    with pytest.raises(ValueError, match="no user and password") as error:
        check_url("http://me:hush@gateway:8081")
    assert "hush" not in str(error.value)
