"""What cluster/ renders to: is it valid, pinned, led to, and the same wherever it stands twice?"""
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLUSTER = ROOT / "cluster"
VALIDATE = ROOT.parent / "shared/tools/validate_manifests.py"
# Which functions the edge asks by the gateway that has addresses for them, and which by the internal one: variables of its Deployment.
OUTSIDE, INSIDE = ("USER_TAGS", "USER_PROFILES", "AGGREGATES"), ("EXPLORE", "CONSOLE", "DEAD_LETTERS")
CLUSTERS = sorted(p.parent.name for p in (CLUSTER / "clusters").glob("*/settings"))

passed = 0
failed = []


def check(what, wrong):
    """`wrong`: what is not as it should be; nothing if all is."""
    global passed
    wrong = [str(w) for w in ([wrong] if isinstance(wrong, str) else wrong) if w]
    if wrong:
        failed.append(what)
        print(f"cluster: FAILED: {what}: " + "; ".join(wrong))
    else:
        passed += 1


def load(path):
    return yaml.safe_load(path.read_text())


def render(path):
    done = subprocess.run(["kubectl", "kustomize", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        check(f"render {path.relative_to(ROOT)}", done.stderr.strip()[-400:])
        return "", []
    return done.stdout, [doc for doc in yaml.safe_load_all(done.stdout) if doc]


def settings(name):
    lines = (CLUSTER / "clusters" / name / "settings/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def one(objects, kind, name=None):
    return next(o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))


def pods(objects):
    return [o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job")]


def controllers():
    for folder in sorted((CLUSTER / "controllers").iterdir()):
        kustomization = load(folder / "kustomization.yaml")
        urls = [r for r in kustomization["resources"] if "://" in r]
        # One file, or several of the same.
        releases = {url.rsplit("/", 1)[0] for url in urls}
        check(f"{folder.name} refers to one release", [] if len(releases) == 1 else [f"{len(releases)} addresses"])
        check(f"{folder.name} is pinned", [u for u in urls if not re.search(r"/v?(knative-v)?\d+\.\d+\.\d+/", u) or re.search("latest|/main/|/master/", u)])
    print("cluster: skipped rendering controllers/: the releases are on the internet")


def phases(name, rendered):
    flux = [o for o in rendered if o["kind"] == "Kustomization"]
    specs = {o["metadata"]["name"]: o["spec"] for o in flux}
    check(f"{name}: phases lead somewhere", [s["path"] for s in specs.values() if not (ROOT / s["path"] / "kustomization.yaml").is_file()])
    check(f"{name}: phases depend on phases", [f"{n} on {d['name']}" for n, s in specs.items() for d in s.get("dependsOn", []) if d["name"] not in specs])
    # What is deleted with them is data, or offsets.
    check(f"{name}: prune is off where data is", [n for n in ("kafka", "aerospike", "eventing", "storage", "namespace") if specs.get(n, {}).get("prune")])
    check(f"{name}: every phase has a limit", [n for n, s in specs.items() if not s.get("timeout")])
    done = subprocess.run([str(CLUSTER / "up"), name, "--list"], capture_output=True, text=True, check=False)
    order = [line.split()[0] for line in done.stdout.splitlines()]
    check(f"{name}: up has Flux's phases", [] if sorted(order) == sorted(specs) else [done.stdout + done.stderr])
    check(f"{name}: up keeps their order", [f"{n} before {d['name']}" for n, s in specs.items() for d in s.get("dependsOn", [])
                                            if n in order and d["name"] in order and order.index(d["name"]) > order.index(n)])
    return specs


def restricted(where, objects):
    """What we run ourselves asks for no right that it could do without."""
    wrong = []
    for pod in pods(objects):
        spec = pod.get("securityContext", {})
        if not spec.get("runAsNonRoot") or spec.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            wrong.append("the pod's security context")
        if pod.get("automountServiceAccountToken") is not False:
            wrong.append("a token is mounted")
        for container in pod["containers"]:
            mine = container.get("securityContext", {})
            if mine.get("allowPrivilegeEscalation") is not False or not mine.get("readOnlyRootFilesystem") or mine.get("capabilities") != {"drop": ["ALL"]}:
                wrong.append(f"{container['name']}'s security context")
            if not container.get("resources", {}).get("requests"):
                wrong.append(f"{container['name']} requests nothing")
            if not re.search(r":v?\d+\.\d+\.\d+(\.\d+)?$", container["image"]) and not container["image"].startswith("dev.local/") and container["image"] != "simulator":
                wrong.append(f"{container['image']} is not pinned")
    check(f"{where}: restricted and pinned", wrong)


def the_same(name, objects):
    """What kustomize cannot take from one place."""
    values = settings(name)
    if "knative" in objects:
        serving = one(objects["knative"], "KnativeServing")["spec"]
        check(f"{name}: Knative's domain is the settings'", [] if list(serving["config"]["domain"]) == [values["FUNCTIONS_DOMAIN"]] else [str(serving["config"]["domain"])])
        check(f"{name}: Kourier has no address", [] if serving["ingress"]["kourier"]["service-type"] == "ClusterIP" else ["it has"])
        check(f"{name}: five revisions are kept", [] if {serving["config"]["gc"][f"{m}-non-active-revisions"] for m in ("min", "max")} == {"5"} else ["others"])
    env = {e["name"]: e.get("value") for e in pods(objects["edge"])[0]["containers"][0]["env"]}
    check(f"{name}: the edge's domain is the settings'", [] if env["FUNCTIONS_DOMAIN"] == values["FUNCTIONS_DOMAIN"] else [env["FUNCTIONS_DOMAIN"]])
    services = {o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in objects.get("functions", []) if o["apiVersion"].startswith("serving.knative.dev/")}
    check(f"{name}: the edge leads to functions that are there", sorted({env[v] for v in OUTSIDE + INSIDE} - services.keys()) if services else [])
    check(f"{name}: the edge asks functions without an address by the internal gateway",
          [env[v] for v in OUTSIDE if services.get(env[v], {}).get("networking.knative.dev/visibility") == "cluster-local"])
    places = [one(objects["edge"], "Service", way)["spec"]["externalName"].split(".", 1) for way in ("gateway", "internal")]
    check(f"{name}: both gateways are Kourier's", [] if [p[0] for p in places] == ["kourier", "kourier-internal"] and places[0][1] == places[1][1] else [str(places)])
    # knative/gateway lets it in by these.
    edge = one(objects["edge"], "Deployment", "edge")
    wanted = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": edge["metadata"]["namespace"]}},
              "podSelector": {"matchLabels": edge["spec"]["template"]["metadata"]["labels"]}}
    policy = one(render(ROOT / "knative/gateway")[1], "NetworkPolicy")["spec"]["ingress"]
    check(f"{name}: the internal gateway lets the edge in", [] if any(wanted in rule.get("from", []) and {p["port"] for p in rule["ports"]} == {8081, 8444} for rule in policy) else ["it does not"])
    out = [port["port"] for rule in one(objects["edge"], "NetworkPolicy", "edge")["spec"]["egress"] for port in rule.get("ports", []) if port["port"] != 53]
    check(f"{name}: the edge reaches both gateways and nobody else", [] if sorted(out) == [8080, 8081] else out)
    if any(o["kind"] == "Certificate" for o in objects["edge"]):
        certificate = one(objects["edge"], "Certificate")["spec"]
        issuers = {o["metadata"]["name"] for o in objects["edge"] if o["kind"] == "ClusterIssuer"}
        check(f"{name}: the edge's certificate", [] if certificate["dnsNames"] == [values["DOMAIN"]] and certificate["issuerRef"]["name"] in issuers & {values["ISSUER"]} else [str(certificate)])
    if "namespace" in objects and "functions" in objects:
        ours, theirs = (one(objects[phase], "Namespace", "allezon")["metadata"]["labels"] for phase in ("namespace", "functions"))
        check(f"{name}: one namespace", [] if ours == theirs else [f"{ours} and {theirs}"])


def data(name, objects):
    if "kafka" not in objects:
        return
    kafka, pool = (one(objects["kafka"], kind)["spec"] for kind in ("Kafka", "KafkaNodePool"))
    copies = min(pool["replicas"], 3)
    config = kafka["kafka"]["config"]
    check(f"{name}: Kafka's copies", [f"{k} is {v}" for k, v in config.items() if k.endswith("replication.factor") and v != copies])
    check(f"{name}: Kafka acknowledges by two", [f"{k} is {v}" for k, v in config.items() if k.endswith((".isr", "insync.replicas")) and v != (2 if copies == 3 else 1)])
    check(f"{name}: Kafka keeps 48 h", [] if config["log.retention.hours"] == 48 else [config["log.retention.hours"]])
    check(f"{name}: Kafka knows its users by certificates", [l["name"] for l in kafka["kafka"]["listeners"] if l.get("authentication") != {"type": "tls"}])
    check(f"{name}: users' secrets are where functions are", [] if {kafka["entityOperator"][o]["watchedNamespace"] for o in ("topicOperator", "userOperator")} == {"allezon"} else ["not"])
    names = one(objects["kafka"], "Certificate", "kafka-listener")["spec"]["dnsNames"]
    check(f"{name}: the listener's certificate has the address that functions use", [] if "allezon-kafka-bootstrap.kafka.svc" in names else names)
    if "aerospike" in objects:
        stateful = one(objects["aerospike"], "StatefulSet")["spec"]
        conf = one(objects["aerospike"], "ConfigMap")["data"]["aerospike.conf"]
        seeds = re.findall(r"mesh-seed-address-port aerospike-(\d+)\.aerospike\.aerospike\.svc", conf)
        check(f"{name}: Aerospike's servers know each other", [] if seeds == [str(n) for n in range(stateful["replicas"])] else seeds)
        claim = stateful["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        size = re.search(r"filesize (\d+)G", conf)[1]
        check(f"{name}: Aerospike's file fits its volume", [] if int(size) < int(claim.removesuffix("Gi")) else [f"{size}G in {claim}"])
        check(f"{name}: Aerospike's data is retained", [] if set(stateful["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"} else ["not"])
        alert = (CLUSTER / "platform/monitoring/aerospike/rules.yaml").read_text()
        check(f"{name}: the alert knows the number of servers", [] if f"or vector(0)) < {stateful['replicas']}\n" in alert else ["another"])
        wanted = [e for o in objects.get("functions", []) if o["kind"] == "ConfigMap" for k, e in o.get("data", {}).items() if k == "AEROSPIKE_SERVERS"]
        check(f"{name}: AEROSPIKE_SERVERS is the number of servers", [w for w in wanted if int(w) != stateful["replicas"]])
    for phase in ("edge", "aerospike"):
        budgets = [o["spec"].get("maxUnavailable") for o in objects.get(phase, []) if o["kind"] == "PodDisruptionBudget"]
        check(f"{name}: {phase} may lose one at a time", [] if phase not in objects or budgets == [1] else budgets)


def machines():
    hosts = load(CLUSTER / "machines/hosts.yaml")["all"]
    _, pool = render(CLUSTER / "platform/metallb/overlays/production")
    check("MetalLB's pool is the inventory's", [] if one(pool, "IPAddressPool")["spec"]["addresses"] == [hosts["vars"]["edge_addresses"]] else ["another"])
    check("an odd number decides", [] if len(hosts["children"]["kube_control_plane"]["hosts"]) % 2 else ["even"])
    addresses = [a for h in hosts["hosts"].values() for a in {h["ip"], h["ansible_host"]}]
    check("no address twice", [a for a in set(addresses) if addresses.count(a) > 1])
    check("no address elsewhere", [str(p.relative_to(ROOT)) for p in CLUSTER.rglob("*.yaml") if p.name != "hosts.yaml" and any(re.search(rf"\b{re.escape(a)}\b", p.read_text()) for a in addresses)])
    check("machines have zones", [n for n, h in hosts["hosts"].items() if "topology.kubernetes.io/zone" not in h.get("node_labels", {})])


def valid(texts):
    """All at once: reading the CRDs takes most of the time."""
    if not VALIDATE.is_file():
        print("cluster: skipped validation: there is no ../shared/tools/validate_manifests.py")
        return
    with tempfile.TemporaryDirectory() as folder:
        for where, text in texts.items():
            (pathlib.Path(folder) / where).write_text(text)
        done = subprocess.run([sys.executable, str(VALIDATE), *sorted(texts)], cwd=folder, capture_output=True, text=True, check=False)
    check("valid", [line for line in done.stdout.splitlines() if done.returncode and not re.match("ok |skip ", line)] + [done.stderr[-300:]])


def main():
    texts = {}
    controllers()
    machines()
    for name in CLUSTERS:
        texts[f"{name}.phases"], rendered = render(CLUSTER / "clusters" / name)
        objects = {}
        for phase, spec in phases(name, rendered).items():
            if "/controllers/" in spec["path"]:
                continue
            texts[f"{name}.{phase}"], objects[phase] = render(ROOT / spec["path"])
            if phase in ("edge", "aerospike", "monitoring"):
                restricted(f"{name}: {phase}", objects[phase])
        the_same(name, objects)
        data(name, objects)
    _, objects = render(CLUSTER / "score")
    restricted("score", objects)
    valid(texts)
    print(f"cluster: {passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
