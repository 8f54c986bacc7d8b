"""What is in deploy/ is what it claims to be: valid, in agreement with itself, and a gateway runs with it.

No images are built here. What containers are told, as arguments, environment and files, is given to a real gateway and
a real Valkey; only addresses are replaced by those of the test.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes_validate
import pytest
import yaml
from tests.redis_servers import VALKEY, start_server

from fastcollab import Config, Gateway

DEPLOY = Path(__file__).parents[1] / "deploy"
SECRET = "0123456789abcdef0123456789abcdef"
#: The oldest Kubernetes that still gets fixes as of this writing, and one that is older.
KUBERNETES = ("1.29", "1.34")

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def objects() -> Iterator[dict[str, Any]]:
    for manifest in MANIFESTS:
        yield from yaml.safe_load_all(manifest.read_text())


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects() if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def container(kind: str, name: str) -> dict[str, Any]:
    (found,) = manifest(kind, name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def image_environment() -> dict[str, str]:
    """What the image sets."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    pairs = [pair for line in text.splitlines() if line.startswith("ENV ") for pair in shlex.split(line)[1:]]
    return dict(pair.split("=", 1) for pair in pairs if pair.startswith("FASTCOLLAB_"))


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_object(version: str) -> None:
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_kubernetes_would_not_take_anything() -> None:
    broken = manifest("Deployment", "fastcollab")
    broken["spec"]["replica"] = broken["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES[0], strict=True)


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "fastcollab"), ("StatefulSet", "fastcollab-valkey")])
def test_labels_and_ports_agree(kind: str, name: str) -> None:
    workload = manifest(kind, name)
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"] == labels
    service = manifest("Service", name)["spec"]
    assert service["selector"] == labels
    named = {port["name"] for port in container(kind, name)["ports"]}
    assert {port["targetPort"] for port in service["ports"]} <= named
    policy = manifest("NetworkPolicy", name)["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == named


def test_who_stops_is_given_the_time(compose: dict[str, Any]) -> None:
    timeout = Config(auth={"secret": SECRET}).server.shutdown_timeout
    pod = manifest("Deployment", "fastcollab")["spec"]["template"]["spec"]
    pause = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + timeout + 5
    assert int(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > timeout + 5


async def asked(gateway: Gateway, path: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.operations_url}{path}") as response:
        return response.status


async def test_a_gateway_of_kubernetes_runs_with_its_valkey(tmp_path: Path) -> None:
    file = tmp_path / "fastcollab.toml"
    file.write_text(manifest("ConfigMap", "fastcollab")["data"]["fastcollab.toml"])
    settings = tomllib.loads(file.read_text())
    spec = container("Deployment", "fastcollab")
    ports = {port["name"]: port["containerPort"] for port in spec["ports"]}
    assert ports["operations"] == settings["ops"]["port"]
    assert ports["clients"] == Config().server.port
    valkey = manifest("Service", "fastcollab-valkey")
    assert settings["engine"]["url"] == f"redis://{valkey['metadata']['name']}:{valkey['spec']['ports'][0]['port']}/0"

    with start_server(VALKEY, *container("StatefulSet", "fastcollab-valkey")["args"]) as server:
        here = {"server.port": 0, "ops.port": 0, "engine.url": server.url, "auth.secret": SECRET}
        async with Gateway(Config.load(file, here)) as gateway:
            for probe in ("readinessProbe", "livenessProbe"):
                assert spec[probe]["httpGet"]["port"] == "operations"
                assert await asked(gateway, spec[probe]["httpGet"]["path"]) == 200


async def test_a_gateway_of_compose_runs_with_its_valkey(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = compose["services"]
    variables = {**image_environment(), **services["gateway"]["environment"]}
    assert variables.pop("FASTCOLLAB_AUTH__SECRET").startswith("${FASTCOLLAB_AUTH__SECRET:?")
    assert variables["FASTCOLLAB_ENGINE__URL"] == "redis://valkey:6379/0"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    program, *options = services["valkey"]["command"]
    assert program == "valkey-server"
    balancer = (DEPLOY / "haproxy.cfg").read_text()
    assert f"gateway:{Config().server.port} " in balancer
    assert f"check port {variables['FASTCOLLAB_OPS__PORT']} " in balancer

    with start_server(VALKEY, *options) as server:
        here = {"server.port": 0, "ops.port": 0, "engine.url": server.url, "auth.secret": SECRET}
        async with Gateway(Config.load(None, here)) as gateway:
            assert "GET /health/ready" in balancer
            assert await asked(gateway, "/health/ready") == 200
            # The health check of the container, as it is written there, at the port of the test.
            _, python, *arguments = services["gateway"]["healthcheck"]["test"]
            assert python == "python"
            assert gateway.operations_url is not None
            code = arguments[-1].replace("http://127.0.0.1:8081", gateway.operations_url)
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments[:-1], code)
            assert await process.wait() == 0


def test_the_image_begins_with_what_a_user_would_type() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert lines[-2:] == ['ENTRYPOINT ["fastcollab"]', 'CMD ["serve"]']
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    root = DEPLOY.parent
    assert copied and all((root / name).exists() for name in copied)
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    result = subprocess.run([sys.executable, "-m", "fastcollab", "serve", "--help"], capture_output=True, timeout=30)
    assert result.returncode == 0
