"""Tries cluster/up, down, check and look on copies of the manifests, before a stand-in of kubectl that remembers what it was told."""
import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Rendering is real, but for releases on the internet; the API server is a file.
KUBECTL = r'''import fcntl, hashlib, json, os, re, subprocess, sys
home, real = os.environ["STAND_IN"], os.environ["REAL_KUBECTL"]
args = [a for a in sys.argv[1:] if not a.startswith("--request-timeout")]
# Two may be at the ends of a pipe: the first one's output before the state.
piped = sys.stdin.read() if args[0] == "apply" and args[-1] == "-" else ""
fcntl.flock(lock := open(f"{home}/lock", "w"), fcntl.LOCK_EX)
state = json.load(open(f"{home}/state"))

def done(text="", code=0, error=""):
    json.dump(state, open(f"{home}/state", "w"))
    print(text, end="")
    print(error, end="", file=sys.stderr)
    sys.exit(code)

def objects(text):
    for doc in re.split(r"^---\n", text, flags=re.M):
        field = lambda pattern: (re.findall(pattern, doc, re.M) or ["-"])[0]
        if field(r"^kind: (\S+)") != "-":
            meta = re.search(r"^metadata:\n((?:  .*\n)*)", doc, re.M)[1]
            name = re.search(r"^  name: (\S+)", meta, re.M)[1].strip('"')
            space = (re.findall(r"^  namespace: (\S+)", meta, re.M) or ["-"])[0]
            kind = field(r"^kind: (\S+)")
            yield f"{kind} {space} {name}"

if args[0] == "kustomize":
    if "/controllers/" in args[1] and "clusters" not in args[1]:
        name = os.path.basename(args[1])
        done(f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: {name}\n")
    cache = f"{home}/cache-{hashlib.sha256(args[1].encode()).hexdigest()}"
    if not os.path.exists(cache):
        answer = subprocess.run([real, *args], capture_output=True, text=True)
        if answer.returncode:
            done("", 1, answer.stderr)
        open(cache, "w").write(answer.stdout)
    done(open(cache).read())
if args[0] == "port-forward":
    done(f"Forwarding from 127.0.0.1:{args[-1].split(':')[0]}\n" if state["forwards"] else "", not state["forwards"], "" if state["forwards"] else "services not found\n")
if args[0] in ("version", "logs"):
    done("fine\n")
if args[0] == "config":
    done("https://stand-in" if "view" in args else "test\n")
if args[0] == "apply":
    text = piped or open(args[-1]).read()
    found = list(objects(text))
    for refusal in state["refuse"]:
        if any(re.search(refusal["object"], o) for o in found) and refusal["times"] > 0:
            refusal["times"] -= 1
            done("", 1, "Error from server (InternalError): failed calling webhook\n")
    if "--dry-run=server" not in args:
        state["log"] += [f"apply {o}" for o in found]
        state["objects"] = sorted(set(state["objects"]) | set(found))
    done("".join(f"{o} serverside-applied\n" for o in found))
if args[0] == "delete":
    if "-f" in args:
        found = list(objects(open(args[-1]).read()))
    else:
        found = [f"{args[1]} {args[args.index('--namespace') + 1]} {args[2]}"]
    state["log"] += [f"delete {o}" for o in found]
    state["objects"] = [o for o in state["objects"] if o not in found]
    done("deleted\n")
if args[0] == "patch":
    state["log"].append(f"patch {args[1]} {args[2]}")
    done()
if args[0] == "create":
    if "--dry-run=client" in args:
        done(f"kind: Secret\nmetadata:\n  name: {args[3]}\n  namespace: {args[args.index('--namespace') + 1]}\n")
    state["log"].append(f"create {' '.join(args[1:4])}")
    done()
if args[0] == "get":
    if args[1] == "--raw":
        done(state["metrics"])
    where = args[args.index("--namespace") + 1] if "--namespace" in args else "-"
    if args[1] == "pods":
        done("pod/exporter\n" if state["metrics"] else "")
    if args[1] == "persistentvolumeclaims":
        done("".join(f"{c} {v}\n" for n, c, v in state["claims"] if n == where))
    if args[1] == "services.serving.knative.dev":
        done("".join(f"{n} {t}\n" for n, t in state["traffic"].items()))
    if args[1].startswith("kustomizations."):
        done()
    if args[1] == "secret":
        found = state["secrets"].get(args[2])
        done(found or "", 0 if found else 1, "" if found else "NotFound\n")
    if args[1] == "deployment":
        done(re.search(r"name=='(\w+)'", args[-1])[1].lower())
    if args[1] == "job":
        done("Complete ")
    name = f"{args[1].split('.')[0]} {where} {args[2]}"
    if "lastState" in args[-1] or "loadBalancer.ingress[0]" in args[-1] or "clusterIP" in args[-1]:
        done()
    if name not in state["objects"]:
        done("", 1, f"Error from server (NotFound): {name} not found\n")
    for late in state["late"]:
        if re.search(late["object"], name) and late["looks"] > 0:
            late["looks"] -= 1
            done("1|1|2|1|0|||||||Ready=False Because it starts;")
    done("1|1|1|1|1|1|1|1||[{}]|green|Ready=True  ;Available=True  ;Established=True  ;Complete=True  ;")
done("", 1, f"the stand-in knows no {args}\n")
'''

passed = 0
failed = []


def check(what, found, wanted):
    global passed
    if found == wanted:
        passed += 1
    else:
        failed.append(what)
        print(f"scripts: FAILED: {what}: {found!r} and not {wanted!r}; it said: {World.said[-600:]}")


class World:
    """A copy of what the scripts read, with short limits, and an API server that is a file."""

    said = ""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for part in ("cluster", "knative", "eventing"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns("local", "target"))
        shutil.copy(ROOT / "Cargo.toml", self.folder)
        self.shorten("cluster/up", "readonly patience=60", "readonly patience=5")
        self.shorten("cluster/lib.sh", "look_seconds=2 tell_seconds=10", "look_seconds=0.1 tell_seconds=1")
        self.shorten("cluster/check", "visible_seconds=60", "visible_seconds=3")
        self.shorten("cluster/check", "lag_seconds=120", "lag_seconds=2")
        for path in (self.folder / "cluster/clusters").rglob("*.yaml"):
            path.write_text(re.sub(r"timeout: \d+m", "timeout: 20s", path.read_text()))
        (self.folder / "bin").mkdir()
        for name, text in (("kubectl", f"#!{sys.executable} -SE\n{KUBECTL}"), ("helm", f'#!/bin/sh\necho "$@" >>{self.folder}/helm\n')):
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        self.begin()

    def shorten(self, path, old, new):
        text = (self.folder / path).read_text()
        if old not in text:
            sys.exit(f"scripts: {path} no longer says {old!r}: adapt this check")
        (self.folder / path).write_text(text.replace(old, new))

    def begin(self, **state):
        (self.folder / "helm").write_text("")
        empty = {"objects": [], "log": [], "refuse": [], "late": [], "claims": [], "metrics": "", "traffic": {}, "secrets": {}, "forwards": True}
        (self.folder / "state").write_text(json.dumps({**empty, **state}))

    def state(self):
        return json.loads((self.folder / "state").read_text())

    def log(self, pattern):
        return [line for line in self.state()["log"] if re.search(pattern, line)]

    def run(self, command, *args, answer=""):
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "STAND_IN": str(self.folder),
                       "REAL_KUBECTL": shutil.which("kubectl"), "ALLEZON_KAFKA": ""}
        done = subprocess.run([str(self.folder / "cluster" / command), *args], env=environment, input=answer, text=True, capture_output=True, check=False, timeout=300)
        World.said = done.stdout + done.stderr
        return done.returncode


def first(lines, pattern):
    """Where it is; behind all that is there if it is not."""
    return next((n for n, line in enumerate(lines) if re.search(pattern, line)), len(lines))


def up(world):
    check("up: help", (world.run("up", "--help"), "usage" in world.said), (0, True))
    check("up: nothing", world.run("up"), 2)
    check("up: another cluster", (world.run("up", "moon"), "there are: minimal production testbed" in world.said), (1, True))
    check("up: another phase", (world.run("up", "minimal", "--only", "moon"), "no phase moon" in world.said), (1, True))
    check("up: no option", world.run("up", "minimal", "--fast"), 1)

    world.begin(late=[{"object": "Kafka kafka", "looks": 12}])
    check("up: production", (world.run("up", "production"), world.said[-200:] if "is up" not in world.said else ""), (0, ""))
    log = world.state()["log"]
    order = ["Deployment cert-manager", "StorageClass", "Namespace - allezon", "KnativeServing", "Kafka kafka", "Deployment edge", "KafkaTopic", "Service allezon user-tags"]
    places = [first(log, re.escape(o)) for o in order]
    check("up: order", places, sorted({p for p in places if p < len(log)}))
    check("up: tells what it waits for", "Kafka allezon: False Because" in world.said, True)
    check("up: waits for sources last", world.said.rfind("eventing: ready") > world.said.find("functions: ready") > 0, True)
    check("up: the chart", (world.folder / "helm").read_text().split(" --namespace")[0],
          "upgrade --install topolvm topolvm --repo https://topolvm.github.io/topolvm --version 17.1.0")
    check("up: again", world.run("up", "production"), 0)
    check("up: no certificate where cert-manager makes one", world.log("create"), [])

    world.begin()
    check("up: only", (world.run("up", "minimal", "--only", "namespace"), {l.split()[1] for l in world.state()["log"]}), (0, {"Namespace", "RoleBinding"}))
    secrets = world.folder / "cluster/clusters/minimal/secrets"
    secrets.mkdir()
    (secrets / "registry.json").write_text("{}")
    world.begin()
    check("up: pull secret", (world.run("up", "minimal", "--only", "namespace"), world.log("Secret")), (0, ["apply Secret allezon registry"]))
    world.begin()
    check("up: nobody to call", (world.run("up", "production", "--only", "monitoring"), "nobody is told" in world.said, world.log("Secret")), (0, True, ["apply Secret monitoring alerts"]))
    (world.folder / "cluster/clusters/production/secrets").mkdir()
    (world.folder / "cluster/clusters/production/secrets/alerts.env").write_text("PEOPLE=http://x\nWATCHDOG=http://x\n")
    world.begin()
    check("up: who is told", (world.run("up", "production", "--only", "monitoring"), "nobody is told" in world.said, world.log("Secret")), (0, False, ["apply Secret monitoring alerts"]))
    (secrets / "staff").write_text("# who\nann:0123456789abcdef\n")
    world.begin()
    check("up: who may", (world.run("up", "minimal", "--only", "namespace"), world.log("Secret"), "nobody may" in world.said),
          (0, ["apply Secret allezon registry", "apply Secret allezon staff"], False))
    for wrong in ("ann:short\n", "ann\n", ":0123456789abcdef\n", "# nobody\n"):
        (secrets / "staff").write_text(wrong)
        world.begin()
        check(f"up: who may, wrong: {wrong}", (world.run("up", "minimal", "--only", "namespace"), "NAME:TOKEN" in world.said, world.log("Secret allezon staff")), (1, True, []))
    (secrets / "staff").unlink()
    world.begin()
    check("up: nobody may", (world.run("up", "minimal", "--only", "namespace"), "nobody may see" in world.said), (0, True))
    world.begin(secrets={"staff": "x"})
    check("up: somebody has said who may", (world.run("up", "minimal", "--only", "namespace"), "nobody may see" in world.said), (0, False))
    world.begin()
    check("up: from", (world.run("up", "minimal", "--from", "functions"), world.log("Kafka ")), (0, []))
    world.begin()
    check("up: dry run", (world.run("up", "minimal", "--dry-run"), world.state()["log"]), (0, []))
    world.begin(late=[{"object": "Deployment edge edge", "looks": 3}])
    check("up: testbed", (world.run("up", "testbed"), world.log("create")), (0, ["create secret tls edge-certificate"]))

    world.begin(refuse=[{"object": "ClusterIssuer", "times": 12}])
    check("up: a webhook that starts", (world.run("up", "minimal", "--only", "kafka"), "not taken yet" in world.said), (0, True))
    world.begin(refuse=[{"object": "ClusterIssuer", "times": 10**6}])
    check("up: refused", (world.run("up", "minimal", "--only", "kafka"), "kafka was refused" in world.said, "look further: kubectl" in world.said), (1, True, True))
    world.begin(late=[{"object": "Kafka kafka", "looks": 10**6}])
    check("up: never ready", (world.run("up", "minimal"), "not ready after 20 s" in world.said, "strimzi-cluster-operator" in world.said), (1, True, True))
    check("up: ends there", world.log("user-tags"), [])


METRICS = """kafka_topic_partition_current_offset{partition="0",topic="allezon.user-tags"} 1e+06
kafka_topic_partition_oldest_offset{partition="0",topic="allezon.user-tags"} 300000
kafka_topic_partition_current_offset{partition="0",topic="allezon.names"} 5
kafka_consumergroup_lag{consumergroup="allezon.profile-worker",partition="0",topic="allezon.user-tags"} %d
"""


def down(world):
    world.run("up", "production")
    there = {**world.state(), "log": [], "metrics": METRICS % 0, "claims": [["kafka", "data-0", "pv-1"], ["aerospike", "data-aerospike-0", "pv-2"]]}

    world.begin(**there)
    check("down: --all alone", (world.run("down", "production", "--all"), world.state()["log"]), (1, []))
    check("down: dry run", (world.run("down", "production", "--dry-run"), world.state()["log"], "would delete (sources) KafkaSource" in world.said), (0, [], True))
    check("down", world.run("down", "production"), 0)
    check("down: says what comes again", "700000 events" in world.said and "3 min 20 s" in world.said, True)
    log = world.state()["log"]
    check("down: sources first", all("Source" in line for line in log[:3]), True)
    check("down: keeps data", [l for l in log if re.search(r" (Namespace|Kafka\w*|StatefulSet|Knative\w+|StorageClass) ", l) and "KafkaSource" not in l], [])
    left = world.state()["objects"]
    check("down: functions are gone", [o for o in left if o.startswith("Service allezon ") or "Source " in o or o.endswith("edge edge")], [])
    check("down: users stay", any(o.startswith("KafkaUser") for o in left), True)
    check("down: again", world.run("down", "production"), 0)

    world.begin(**there)
    check("down: another answer", (world.run("down", "production", "--all", "--data", answer="yes\n"), world.state()["log"]), (1, []))
    check("down: no answer", (world.run("down", "production", "--all", "--data"), world.state()["log"]), (1, []))
    check("down: all", world.run("down", "production", "--all", "--data", answer="production\n"), 0)
    # What `up` makes of files goes with its namespace.
    check("down: nothing is left", [o for o in world.state()["objects"] if not o.startswith("Secret ")], [])
    log = world.state()["log"]
    order = ["KafkaSource", "Service allezon user-tags", "KafkaTopic", "Kafka kafka", "persistentvolumeclaim kafka", "Deployment strimzi"]
    places = [first(log, f"delete {re.escape(o)}") for o in order]
    check("down: resources before operators", places, sorted({p for p in places if p < len(log)}))
    check("down: volumes", sorted(world.log("patch")), ["patch persistentvolume pv-1", "patch persistentvolume pv-2"])
    check("down: a volume's policy before its claim", first(log, "patch persistentvolume pv-1") < first(log, "delete persistentvolumeclaim kafka"), True)
    check("down: Knative before its operator", first(log, "delete KnativeServing") < first(log, "delete Deployment knative-operator"), True)
    check("down: the chart", "uninstall topolvm" in (world.folder / "helm").read_text(), True)


class Edge(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    forgets = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path == "/user_tags":
            type(self).mark = json.loads(body)["cookie"]
            return self.reply(204, "")
        if self.path.startswith("/user_profiles/"):
            return self.reply(200, json.dumps({"cookie": "" if self.forgets else self.mark}))
        return self.reply(200, json.dumps({"rows": [["x", "VIEW", self.mark, "1"]]}, separators=(",", ":")))

    def do_DELETE(self):
        # ann, with a quote in her token.
        self.reply(204 if self.headers["authorization"] == "Basic " + base64.b64encode(b'ann:0123456789"abcdef').decode() else 401, "")

    def reply(self, status, body):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def checking(world):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=allezon.test",
                    "-keyout", f"{world.folder}/tls.key", "-out", f"{world.folder}/tls.crt"], check=True, stderr=subprocess.DEVNULL)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Edge)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{world.folder}/tls.crt", f"{world.folder}/tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = ("--address", f"127.0.0.1:{server.server_port}")

    world.begin()
    world.run("up", "minimal")
    there = {**world.state(), "metrics": METRICS % 0, "traffic": {"user-tags": "true=100"}}
    world.begin(**there)
    check("check", (world.run("check", "minimal", *where), "minimal is well" in world.said, [l for l in world.said.splitlines() if "NOT OK" in l]), (0, True, []))
    check("check: nobody may erase", "could not be erased (401: there is no Secret staff)" in world.said, True)
    check("check: score", world.log("(?i)job edge score"), ["delete job edge score", "apply Job edge score"])
    world.begin(**{**there, "secrets": {"staff": base64.b64encode(b'# who\nann:0123456789"abcdef\n').decode()}})
    check("check: erases", (world.run("check", "minimal", "--no-score", *where), "could not be erased" in world.said), (0, False))
    world.begin(**{**there, "traffic": {"user-tags": "false=100"}})
    check("check: after a rollback", (world.run("check", "minimal", "--no-score", *where), "--traffic @latest=100" in world.said), (1, True))
    world.begin(**{**there, "metrics": METRICS % 7})
    check("check: a group behind", (world.run("check", "minimal", "--no-score", *where), "allezon.profile-worker 7" in world.said), (1, True))
    world.begin(**{**there, "late": [{"object": "Deployment edge edge", "looks": 10**6}]})
    check("check: not ready", (world.run("check", "minimal", "--no-score", *where), "0 of 2 pods available" in world.said), (1, True))
    world.begin(**there)
    Edge.forgets = True
    check("check: not in its profile", (world.run("check", "minimal", "--no-score", *where), "not in its profile after 3 s" in world.said), (1, True))
    world.begin(**{**there, "metrics": ""})
    Edge.forgets = False
    check("check: nobody tells the lag", (world.run("check", "minimal", "--no-score", *where), "skipped: the lag" in world.said), (0, True))
    check("check: nobody at the edge", (world.run("check", "minimal", "--no-score", "--address", "127.0.0.1:1"), "was answered 000" in world.said), (1, True))


def looking(world):
    check("look: help", (world.run("look", "--help"), "usage" in world.said), (0, True))
    check("look: nothing", world.run("look"), 2)
    check("look: another thing", (world.run("look", "moon"), "there is no moon" in world.said), (1, True))
    check("look: grafana", (world.run("look", "grafana", "--port", "3001"), "grafana: http://127.0.0.1:3001." in world.said), (0, True))
    check("look: credentials without Elastic", (world.run("look", "credentials"), "not here: NotFound" in world.said), (0, True))
    check("look: credentials without staff", "nobody may: there is no Secret staff" in world.said, True)
    world.begin(secrets={"elasticsearch-es-elastic-user": "cGFzcw==", "staff": base64.b64encode(b"ann:one:token\nbob:another\n").decode()})
    check("look: credentials", (world.run("look", "credentials"), "user elastic, password pass" in world.said), (0, True))
    check("look: credentials of staff", ["user ann, password one:token" in world.said, "user bob, password another" in world.said], [True, True])
    check("look: console", (world.run("look", "console"), "console: https://127.0.0.1:8443/console" in world.said), (0, True))
    world.begin(forwards=False)
    check("look: not there", (world.run("look", "prometheus"), "prometheus cannot be reached: services not found" in world.said), (1, True))


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        for part in (up, down, checking, looking):
            world.begin()
            part(world)
    print(f"scripts: {passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
