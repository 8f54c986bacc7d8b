"""The command line, without a gateway: tokens, configuration, mistakes."""

import os
import re
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner, Result

from fastcollab import __version__
from fastcollab.cli import app
from fastcollab.config import Config, config_reference

SECRET = "0123456789abcdef0123456789abcdef"

KEYS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS512": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture(autouse=True)
def _environment_with_a_secret_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FASTCOLLAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FASTCOLLAB_AUTH__SECRET", SECRET)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def succeed(*arguments: str) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def fail(*arguments: str) -> list[str]:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("fastcollab: ") for line in lines)
    return [line.removeprefix("fastcollab: ") for line in lines]


def key_files(folder: Path, algorithm: str) -> tuple[Path, Path]:
    """A new pair of keys: the files of the private and of the public one."""
    key = KEYS[algorithm]()
    private, public = folder / f"{algorithm}.pem", folder / f"{algorithm}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


# Tokens


def test_a_token_is_all_that_is_printed() -> None:
    printed = succeed("token", "--user", "ann")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", printed)
    claims = jwt.decode(printed.strip(), SECRET, algorithms=["HS256"])
    assert set(claims) == {"sub", "iat", "exp", "jti"}
    assert claims["sub"] == "ann"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60
    assert uuid.UUID(claims["jti"]).version == 4
    assert jwt.decode(succeed("token", "--user", "ann").strip(), SECRET, algorithms=["HS256"])["jti"] != claims["jti"]


def test_all_claims_of_a_token(tmp_path: Path) -> None:
    config = tmp_path / "fastcollab.toml"
    config.write_text('[auth]\nissuer = "me"\naudience = ["a", "b"]\n')
    arguments = [
        "--user",
        "7",
        "--rooms",
        "dash-*=write",
        "--rooms",
        "a=b=read",
        "--ttl",
        "5",
        "--name",
        "Ann É",
    ]
    printed = succeed("token", *arguments, "--color", "#a0B1c2", "--config", str(config))
    claims = jwt.decode(printed.strip(), SECRET, algorithms=["HS256"], issuer="me", audience="b")
    assert claims["exp"] - claims["iat"] == 5
    assert claims["rooms"] == {"dash-*": "write", "a=b": "read"}
    assert (claims["sub"], claims["name"], claims["color"]) == ("7", "Ann É", "#a0B1c2")
    assert claims["aud"] == ["a", "b"]


def test_a_single_audience_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_AUTH__AUDIENCE", "a")
    claims = jwt.decode(succeed("token", "--user", "u").strip(), SECRET, algorithms=["HS256"], audience="a")
    assert claims["aud"] == "a"


def test_the_first_algorithm_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_AUTH__ALGORITHMS", "HS512,HS256")
    monkeypatch.setenv("FASTCOLLAB_AUTH__SECRET", SECRET * 2)
    assert jwt.get_unverified_header(succeed("token", "--user", "u").strip())["alg"] == "HS512"


@pytest.mark.parametrize("algorithm", KEYS)
def test_public_key_algorithms(algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = key_files(tmp_path, algorithm)
    monkeypatch.setenv("FASTCOLLAB_AUTH__ALGORITHMS", algorithm)
    monkeypatch.setenv("FASTCOLLAB_AUTH__PUBLIC_KEY_FILE", str(public))
    printed = succeed("token", "--user", "ann", "--private-key", str(private))
    assert jwt.decode(printed.strip(), public.read_bytes(), algorithms=[algorithm])["sub"] == "ann"


def test_the_algorithm_that_fits_the_key_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _public = key_files(tmp_path, "ES384")
    monkeypatch.setenv("FASTCOLLAB_AUTH__ALGORITHMS", "RS256,ES256,EdDSA,ES384")
    printed = succeed("token", "--user", "ann", "--private-key", str(private))
    assert jwt.get_unverified_header(printed.strip())["alg"] == "ES384"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--user", " "], "the user's id is empty"),
        (["--user", "u", "--ttl", "0"], "a token has to be valid for at least 1 second, not 0"),
        (["--user", "u", "--color", "red"], "a color is written #rrggbb, not 'red'"),
        (["--user", "u", "--rooms", "dash-*"], "--rooms takes PATTERN=PERMISSION, not 'dash-*'"),
        (
            ["--user", "u", "--rooms", "a=own"],
            "rooms are a pattern and one of read, write, admin, not 'a' and 'own'",
        ),
        (
            ["--user", "u", "--rooms", "=read"],
            "rooms are a pattern and one of read, write, admin, not '' and 'read'",
        ),
        (["--user", "u", "--private-key", "/none"], "/none cannot be read: No such file or directory"),
    ],
)
def test_tokens_that_cannot_be_made(arguments: list[str], problem: str) -> None:
    assert fail("token", *arguments) == [problem]


def test_private_keys_that_cannot_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = key_files(tmp_path, "EdDSA")
    (problem,) = fail("token", "--user", "u", "--private-key", str(private))
    assert problem == "a private key is of no use with the shared-secret algorithms HS256"

    monkeypatch.setenv("FASTCOLLAB_AUTH__ALGORITHMS", "ES256,RS256")
    (problem,) = fail("token", "--user", "u")
    assert problem == "signing with ES256, RS256 takes a private key, which the configuration does not have"
    (problem,) = fail("token", "--user", "u", "--private-key", str(private))
    assert problem == "the private key is not of a kind that ES256, RS256 can sign with"
    (problem,) = fail("token", "--user", "u", "--private-key", str(public))
    assert problem.startswith("the private key cannot be read: ")
    locked = tmp_path / "locked.pem"
    key = ed25519.Ed25519PrivateKey.generate()
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    (problem,) = fail("token", "--user", "u", "--private-key", str(locked))
    assert problem.startswith("the private key cannot be read: ")


def test_commands_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTCOLLAB_AUTH__SECRET")
    for command in (["token", "--user", "u"], ["serve"], ["config", "check"]):
        (problem,) = fail(*command)
        assert problem.startswith("auth.secret is not set: ")
        assert "FASTCOLLAB_AUTH__SECRET" in problem


# Configuration


def test_a_valid_configuration() -> None:
    assert succeed("config", "check") == "configuration is valid\n"


def test_problems_are_listed_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", documented, re.DOTALL)
    output = re.search(r"config check --config fastcollab.toml\n(.*?)```", documented, re.DOTALL)
    assert example
    assert output
    (tmp_path / "fastcollab.toml").write_text(example[1])
    monkeypatch.chdir(tmp_path)
    assert succeed("config", "check", "--config", "fastcollab.toml")

    (tmp_path / "fastcollab.toml").write_text(example[1].replace("operations", "operation"))
    monkeypatch.setenv("FASTCOLLAB_SERVER__PORT", "80800")
    result = run("config", "check", "--config", "fastcollab.toml")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", output[1])
    for command in (["serve"], ["config", "show"], ["token", "--user", "u"]):
        assert run(*command, "--config", "fastcollab.toml").stderr == output[1]


def test_values_in_force(tmp_path: Path) -> None:
    config = tmp_path / "fastcollab.toml"
    config.write_text("[server]\nport = 9000\n")
    shown = succeed("config", "show", "--config", str(config))
    assert f"port = 9000  # {config}, line 2\n" in shown
    assert SECRET not in shown
    assert tomllib.loads(shown)["auth"]["secret"] == "********"


def test_defaults_are_a_configuration_file(tmp_path: Path) -> None:
    printed = succeed("config", "defaults")
    assert printed == config_reference()
    (tmp_path / "defaults.toml").write_text(printed)
    assert succeed("config", "check", "--config", str(tmp_path / "defaults.toml"))
    assert Config.load(tmp_path / "defaults.toml").model_dump() == Config().model_dump()


def test_flags_of_serve_are_named_in_problems() -> None:
    problems = fail(
        *("serve", "--host", "", "--port", "-1", "--engine", "mysql://h"),
        *("--set", "limits.operations=0", "--set", "limits.x=1", "--set", "auth.secret=a=b"),
    )
    assert problems == [
        "limits.x is not a known setting (flag --set)",
        "server.host must have at least 1 character, got '' (flag --host)",
        "server.port must be greater than or equal to 0, got -1 (flag --port)",
        "auth.secret must have at least 32 bytes for HS256, and has 3 (flag --set)",
        "limits.operations must be greater than or equal to 1, got '0' (flag --set)",
        "engine.url is of the scheme mysql; known are memory://, sqlite:, valkey:, redis:// and its kin "
        "(flag --engine)",
    ]
    assert fail("serve", "--set", "limits.operations") == ["--set takes KEY=VALUE, not 'limits.operations'"]


# The program


def test_version() -> None:
    assert succeed("version") == f"fastcollab {__version__}\n"


def test_the_package_is_a_program() -> None:
    result = subprocess.run([sys.executable, "-m", "fastcollab", "version"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"fastcollab {__version__}\n", "")


def test_a_mistaken_command_line_is_explained() -> None:
    for arguments in ([], ["fly"], ["token"], ["serve", "--port", "many"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Usage: " in result.output


def test_a_token_does_not_wait_for_what_it_does_not_need() -> None:
    heavy = ["uvloop", "picows", "structlog", "fastcollab.server.gateway"]
    program = (
        "import sys, fastcollab.cli\n"
        "try: fastcollab.cli.app(['token', '--user', 'u'])\n"
        f"except SystemExit: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout.count(".") == 2
    assert result.stderr == "[]\n"
