"""The manifests of the how-to hang together, and fit what a node does and how long it takes."""

from __future__ import annotations

import os
import re
from typing import Any

import httpx
import pytest

from multitransport.cli.run import run
from multitransport.cli.serving import _LAST_RESORT_SECONDS
from multitransport.client import connect
from multitransport.node.settings import Settings
from multitransport.testing.server import serve
from tests.integration.manifests import manifests
from tests.integration.nodes import Node
from tests.proxies import DOCS, documented

PAGE = "howto/kubernetes.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
OBJECTS = {
    (found["kind"], found["metadata"]["name"]): found
    for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
    for found in manifests(block)
}
SETTINGS = Settings()


def pod(kind: str, name: str) -> dict[str, Any]:
    """Return the specification of what an object runs."""
    spec: dict[str, Any] = OBJECTS[kind, name]["spec"]["template"]["spec"]
    return spec


APP = pod("Deployment", "app")
[CONTAINER] = APP["containers"]


def test_there_is_everything() -> None:
    assert set(OBJECTS) == {
        ("Deployment", "app"),
        ("Service", "app"),
        ("PodDisruptionBudget", "app"),
        ("HorizontalPodAutoscaler", "app"),
        ("StatefulSet", "redis"),
        ("Service", "redis"),
        ("NetworkPolicy", "redis"),
    }


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "app"), ("StatefulSet", "redis")])
def test_who_selects_pods_selects_these(kind: str, name: str) -> None:
    labels = OBJECTS[kind, name]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS[kind, name]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["Service", name]["spec"]["selector"] == labels


def test_the_others_select_them_too() -> None:
    app = OBJECTS["Deployment", "app"]["spec"]["template"]["metadata"]["labels"]
    redis = OBJECTS["StatefulSet", "redis"]["spec"]["template"]["metadata"]["labels"]
    policy = OBJECTS["NetworkPolicy", "redis"]["spec"]
    assert OBJECTS["PodDisruptionBudget", "app"]["spec"]["selector"]["matchLabels"] == app
    assert APP["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == app
    assert policy["podSelector"]["matchLabels"] == redis
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": app}}]
    target = OBJECTS["HorizontalPodAutoscaler", "app"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in OBJECTS


def test_secrets_are_those_that_are_made() -> None:
    made = set(re.findall(r"--from-literal=([\w-]+)=", TEXT))
    [redis] = pod("StatefulSet", "redis")["containers"]
    used = [each["valueFrom"]["secretKeyRef"] for each in (*CONTAINER["env"], *redis["env"]) if "valueFrom" in each]
    assert {each["key"] for each in used} == made
    assert {each["name"] for each in used} == set(re.findall(r"create secret generic (\w+)", TEXT))


def test_ports_are_those_of_the_containers() -> None:
    [port] = CONTAINER["ports"]
    assert OBJECTS["Service", "app"]["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == port["name"]
    assert CONTAINER["command"][-2:] == ["--port", str(port["containerPort"])]


def test_the_command_is_one() -> None:
    program, name, *arguments = CONTAINER["command"]
    assert (program, name) == ("multitransport", run.name)
    assert run.make_context("run", arguments).params["host"] == "0.0.0.0"


def test_a_pod_is_given_time_to_drain() -> None:
    [grace] = [option.default for option in run.params if option.name == "grace"]
    assert isinstance(grace, float)
    wait = float(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert SETTINGS.drain_seconds <= grace
    assert wait + SETTINGS.drain_seconds + grace + _LAST_RESORT_SECONDS < APP["terminationGracePeriodSeconds"]


def test_a_pod_that_stops_is_off_the_service_before_it_drains() -> None:
    probe = CONTAINER["readinessProbe"]
    wait = float(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert probe["periodSeconds"] * probe["failureThreshold"] <= wait


def test_no_capacity_is_missing_while_a_deploy_rolls() -> None:
    rolling = OBJECTS["Deployment", "app"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}
    autoscaler = OBJECTS["HorizontalPodAutoscaler", "app"]["spec"]
    assert autoscaler["minReplicas"] == OBJECTS["Deployment", "app"]["spec"]["replicas"]


def test_redis_keeps_what_it_has_and_stays_below_its_limit() -> None:
    [redis] = pod("StatefulSet", "redis")["containers"]
    arguments = dict(zip(redis["args"][1::2], redis["args"][2::2], strict=True))
    assert (arguments["--appendonly"], arguments["--maxmemory-policy"]) == ("yes", "noeviction")
    assert (arguments["--maxmemory"], redis["resources"]["limits"]["memory"]) == ("1gb", "2Gi")


def test_what_is_said_of_the_way_in_is_so() -> None:
    assert f"{SETTINGS.ping_seconds:g} s + {SETTINGS.grace_seconds:g} s" in TEXT
    assert SETTINGS.ping_seconds + SETTINGS.grace_seconds < 75
    assert SETTINGS.max_message_bytes == 1 << 20


async def test_probes_tell_a_pod_that_drains_from_one_that_is_dead() -> None:
    node = Node()
    ready, alive = (CONTAINER[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe"))
    async with node.served() as origin, httpx.AsyncClient(base_url=origin) as http:
        assert [(await http.get(path)).status_code for path in (ready, alive)] == [200, 200]
        await node.node.drain()
        assert [(await http.get(path)).status_code for path in (ready, alive)] == [503, 200]


async def test_the_metric_counts_clients() -> None:
    node = Node()
    exec(documented(PAGE, "python"), {"app": node.app, "os": os})
    metric = OBJECTS["HorizontalPodAutoscaler", "app"]["spec"]["metrics"][0]["pods"]["metric"]["name"]

    async def told(http: httpx.AsyncClient) -> int:
        answer = await http.get("/metrics")
        return int(re.findall(rf"^{metric} (\d+)$", answer.text, flags=re.MULTILINE)[0])

    async with serve(node.app) as origin, httpx.AsyncClient(base_url=origin) as http:
        before = await told(http)
        async with connect(f"{origin}/realtime", transports=["websocket"]):
            # Two: the client is in this process too.
            assert await told(http) == before + 2
