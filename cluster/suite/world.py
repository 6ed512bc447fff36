"""The namespace that the suite works in, and the hands it works with: kubectl, kn, HTTP through the ingress, Kafka, Aerospike."""

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "target/suite"
# How pods reach this machine, where the suite's Kafka and Aerospike run. Pods get the address: brokers name it to clients.
MACHINE = os.environ.get("ALLEZON_SUITE_MACHINE", "10.243.0.1")
KAFKA_PORT, AEROSPIKE_PORT = 9092, 3000
# A decision within seconds: a run must see functions come and go, and a minute for each of them would be an hour.
WINDOW = "10s"
ANSWER_SECONDS = 30
READY_SECONDS = 180
LOOK_SECONDS = 0.5


class Failed(Exception):
    """What was expected is not so."""


def expect(is_so, text):
    if not is_so:
        raise Failed(text)


def eventually(what, look, seconds):
    """Waits until look() gives something true, and returns it. What it raised last is told."""
    end, error = time.monotonic() + seconds, None
    while True:
        try:
            if result := look():
                return result
            error = None
        except (Failed, OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as raised:
            error = raised
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}" + (f" ({error})" if error else ""))
        time.sleep(LOOK_SECONDS)


def run(*command, stdin=None, check=True, seconds=300, **more):
    """Standard output of a command; with check, one that fails ends the case with what it said."""
    # On a small machine these take the time of the functions that they ask about.
    nicely = ["nice"] if command[0] in ("kubectl", "kn") else []
    result = subprocess.run([*nicely, *(str(word) for word in command)], input=stdin, text=True, capture_output=True, timeout=seconds, **more)
    if check and result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))[:300]}: {(result.stderr or result.stdout).strip()[-1500:]}")
    return result.stdout if check else result


class Space:
    """A namespace with an overlay's functions in it."""

    def __init__(self, world, name):
        self.world, self.name, self.loads = world, name, []
        self.folder = SUITE / name
        up = "../../../../../.."
        overlay = world.overlay
        # Window: see above. The machine may have another address than the overlay says.
        self.functions = self.write("knative", f"""
namespace: {name}
resources: [{up}/knative/overlays/{overlay}]
patches:
  - target: {{group: serving.knative.dev, kind: Service}}
    patch: '- {{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1window, value: "{WINDOW}"}}'
  - target: {{kind: ConfigMap, name: addresses}}
    patch: |
      - {{op: replace, path: /data/KAFKA_BROKERS, value: "{MACHINE}:{KAFKA_PORT}"}}
      - {{op: replace, path: /data/AEROSPIKE_HOSTS, value: "{MACHINE}:{AEROSPIKE_PORT}"}}
transformers: [{up}/knative/names]
""")
        self.eventing = None
        if world.is_production:
            self.eventing = self.write("eventing", f"""
namespace: {name}
components: [{up}/eventing/overlays/{overlay}/parts]
patches:
  - target: {{kind: ConfigMap, name: addresses}}
    patch: '- {{op: replace, path: /data/KAFKA_BROKERS, value: "{MACHINE}:{KAFKA_PORT}"}}'
transformers: [{up}/knative/names, {up}/eventing/names, {up}/eventing/deliverer/names]
""")

    def write(self, part, text):
        """An overlay as `make render FROM=FOLDER OVERLAY=suite` finds it."""
        overlay = self.folder / part / "overlays/suite"
        overlay.mkdir(parents=True, exist_ok=True)
        (overlay / "kustomization.yaml").write_text(f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization{text}")
        return overlay

    def kubectl(self, *words, **more):
        return run("kubectl", "--request-timeout=60s", "--namespace", self.name, *words, **more)

    def kn(self, *words, **more):
        return run(*self.world.kn, *words, "--namespace", self.name, **more)

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def addresses(self):
        """The ConfigMap, as it is rendered."""
        text = run("kubectl", "kustomize", self.functions)
        for document in text.split("\n---\n"):
            if "\nkind: ConfigMap\n" in "\n" + document and "USER_TAGS:" in document:
                pairs = (line.strip().split(": ", 1) for line in document.splitlines() if line.startswith("  ") and ": " in line)
                return {key: value for key, value in pairs}
        raise Failed("there is no ConfigMap addresses")

    def make_topics(self):
        """Those of cluster/local/kafka/topics, by this namespace's names."""
        names = self.addresses()
        self.world.kafka_topics(lambda topic: names[topic.upper().replace("-", "_")])

    def make_credentials(self):
        """Who may what not everybody may. Functions read it when they start, so it is there before them, and its namespace before it."""
        if self.kubectl("get", "secret", "staff", check=False).returncode == 0:
            return
        line = f"suite:{secrets.token_hex(16)}\n"
        for thing in ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}},
                      {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "staff"}, "stringData": {"staff": line}}):
            self.kubectl("apply", "--filename", "-", stdin=json.dumps(thing))

    def credentials(self):
        """NAME:TOKEN of somebody who may, as the cluster has it now: what is documented changes it."""
        text = base64.b64decode(self.get("secret", "staff")["data"]["staff"]).decode()
        return next(line for line in text.splitlines() if line and not line.startswith("#"))

    def deploy(self):
        self.kubectl("apply", "--kustomize", self.functions)
        if self.eventing:
            self.kubectl("apply", "--kustomize", self.eventing)
        self.ready()

    def ready(self, seconds=READY_SECONDS):
        def all_ready():
            for service in self.get("services.serving.knative.dev")["items"]:
                self.is_ready(service)
            for deployment in self.get("deployments", "--selector", "!serving.knative.dev/service")["items"]:
                name, status = deployment["metadata"]["name"], deployment.get("status", {})
                expect(status.get("availableReplicas") == deployment["spec"]["replicas"] == status.get("updatedReplicas"), f"{name} is not available")
            return True

        eventually("everything is ready", all_ready, seconds)

    @staticmethod
    def is_ready(service):
        name, status = service["metadata"]["name"], service.get("status", {})
        expect(status.get("observedGeneration") == service["metadata"]["generation"], f"{name} is not looked at yet")
        conditions = {each["type"]: each for each in status.get("conditions", [])}
        ready = conditions.get("Ready", {"status": "not told"})
        expect(ready["status"] == "True", f"{name}: {ready.get('reason')} {ready.get('message')}")
        return True

    def wait_ready(self, function, seconds=READY_SECONDS):
        eventually(f"{function} is ready", lambda: self.is_ready(self.get("services.serving.knative.dev", function)), seconds)

    def pods(self, function):
        """Those that are not ending."""
        pods = self.get("pods", "--selector", f"serving.knative.dev/service={function}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def host(self, function):
        return f"{function}.{self.name}.{self.world.domain}"

    def ask(self, method, path, body=None, seconds=ANSWER_SECONDS, tag=None, key=None, who=None, headers=None, lines=None):
        """Status, headers and body of a request to a function through the ingress; the path says which. One without an address outside is
        asked as the edge asks it, by the internal gateway. `who`: NAME:TOKEN. `lines`: so many of an answer that goes on."""
        function = self.world.function_of(path)
        gateway, host = self.world.gateway, self.host(f"{tag}-{function}" if tag else function)
        if function in self.world.INSIDE:
            gateway, host = self.world.internal_gateway, f"{function}.{self.name}.svc.cluster.local"
        headers = {"Host": host} | ({"Idempotency-Key": key} if key else {}) | (headers or {})
        if who:
            headers["Authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
        connection = http.client.HTTPConnection(gateway, timeout=seconds)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            told = b"".join(answer.readline() for _ in range(lines)) if lines and answer.status == 200 else answer.read()
            return answer.status, answer.headers, told

    def revisions(self, function):
        revisions = self.get("revisions", "--selector", f"serving.knative.dev/service={function}")["items"]
        return sorted(each["metadata"]["name"] for each in revisions)

    def remove(self):
        run("kubectl", "delete", "namespace", self.name, "--ignore-not-found", "--wait=false", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class World:
    # Functions without an address outside.
    INSIDE = ("explore", "console", "dead-letters")

    def __init__(self, overlay, keep):
        self.overlay, self.keep = overlay, keep
        self.is_production = not overlay.endswith("minimal")
        self.kn = os.environ.get("ALLEZON_KN", "kn").split()
        self.spaces = []
        self.aerospike = None
        for program in ("kubectl", self.kn[0]):
            expect(shutil.which(program), f"{program} is needed")
        run("kubectl", "version", "--request-timeout=20s")
        self.gateway = self.find_gateway("kourier", "ALLEZON_GATEWAY")
        self.internal_gateway = self.find_gateway("kourier-internal", "ALLEZON_INTERNAL_GATEWAY") if self.is_production else None
        self.domain = self.find_domain()
        self.work = Path(tempfile.mkdtemp(prefix="allezon-suite."))

    @staticmethod
    def find_gateway(service, variable):
        if given := os.environ.get(variable):
            return given
        for namespace in ("kourier-system", "knative-serving"):
            found = run("kubectl", "get", "service", service, "-n", namespace, "-o",
                        "jsonpath={.status.loadBalancer.ingress[0].ip} {.spec.externalIPs[0]} {.spec.clusterIP}", check=False)
            if found.returncode == 0:
                return found.stdout.split()[0]
        raise Failed(f"there is no service {service}; {variable} says that gateway's address")

    @staticmethod
    def find_domain():
        data = json.loads(run("kubectl", "get", "configmap", "config-domain", "-n", "knative-serving", "-o", "json")).get("data", {})
        names = [name for name in data if not name.startswith("_")]
        return names[0] if names else "svc.cluster.local"

    def space(self, name):
        space = Space(self, name)
        self.spaces.append(space)
        return space

    def function_of(self, path):
        if path.startswith("/user_tags"):
            return "user-tags"
        if not self.is_production:
            return "allezon"
        functions = {"user_profiles": "user-profiles", "explore": "explore", "console": "console", "dead_letters": "dead-letters", "replay": "dead-letters"}
        return functions.get(re.split("[/?]", path)[1], "aggregates")

    # Kafka: a process of this machine.

    def kafka(self, *words, **more):
        return run(ROOT / "cluster/local/kafka/kafka", *words, "--port", KAFKA_PORT, "--data", self.work / "kafka",
                   "--bind", MACHINE, "--advertise", MACHINE, **more)

    def kafka_topics(self, called):
        lines = []
        for line in (ROOT / "cluster/local/kafka/topics").read_text().splitlines():
            if line and not line.startswith("#"):
                topic, rest = line.split(" ", 1)
                lines.append(f"{called(topic)} {rest}")
        file = self.work / "topics"
        file.write_text("\n".join(lines) + "\n")
        self.kafka("topics", file)

    @staticmethod
    def kafka_groups(*words):
        return run(ROOT / "cluster/local/kafka/kafka", "tool", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                   "--bootstrap-server", f"{MACHINE}:{KAFKA_PORT}", *words)

    def lag(self, group):
        """How many records a group has not committed, in all partitions."""
        text = self.kafka_groups("--describe", "--group", group)
        fields = [line.split() for line in text.splitlines()]
        lags = [words[5] for words in fields if len(words) > 5 and words[0] == group]
        expect(lags, f"there is no group {group}")
        return sum(int(lag) if lag != "-" else 1 for lag in lags)

    # Aerospike: a process of this machine, where there is one.

    def start_aerospike(self):
        command = os.environ["ALLEZON_AEROSPIKE_SERVER"].split()
        self.aerospike = subprocess.Popen([*command, str(AEROSPIKE_PORT), str(self.work / "aerospike")], start_new_session=True,
                                          env={**os.environ, "ADDRESS": MACHINE}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens():
            expect(self.aerospike.poll() is None, "Aerospike has ended")
            socket.create_connection((MACHINE, AEROSPIKE_PORT), 1).close()
            return True

        eventually("Aerospike listens", listens, 60)

    def kill_aerospike(self):
        os.killpg(self.aerospike.pid, signal.SIGKILL)
        self.aerospike.wait(60)

    # The simulator is a static program: the image's own runs here too.

    def simulator(self, space, *words, seconds):
        program = ROOT / "target/images/context/simulator/function"
        hosts = []
        for flag, path in (("user-tags", "/user_tags"), ("user-profiles", "/user_profiles"), ("aggregates", "/aggregates")):
            hosts += [f"--{flag}-host", space.host(self.function_of(path)), f"--{flag}-timeout", f"{ANSWER_SECONDS}s"]
        return run(program, *words, "--target", f"http://{self.gateway}", *hosts, seconds=seconds)

    def begin(self):
        SUITE.mkdir(parents=True, exist_ok=True)
        self.kafka("start")
        if self.is_production:
            self.start_aerospike()

    def end(self):
        if self.keep:
            print(f"kept: namespaces {' '.join(space.name for space in self.spaces)}, Kafka and Aerospike in {self.work}")
            return
        for space in self.spaces:
            space.remove()
        self.kafka("kill9", check=False)
        if self.aerospike and self.aerospike.poll() is None:
            self.kill_aerospike()
        shutil.rmtree(self.work, ignore_errors=True)


class Load:
    """Shoppers of their own, each with one tag after the other; a tag is repeated until it is answered. Knows what must come out."""

    # Kafka did not answer within the 200 ms that a client waits: on a machine of two cores it may be anybody's work.
    IN_ORDER = ("the log is slow", "the log is busy", "the log is unavailable")

    def __init__(self, space, name, shoppers=8, pause=0.02):
        # Nobody else's, also when a case is tried again.
        self.space, self.name = space, unique(name)
        space.loads.append(self)
        self.stop, self.begin = threading.Event(), time.time()
        # Of each shopper: (time in milliseconds, product). What else was answered, by status or error.
        self.sent = {f"{self.name}-{number}": [] for number in range(shoppers)}
        self.failures, self.refusals, self.slowest, self.pause = {}, 0, 0.0, pause
        self.threads = [threading.Thread(target=self.shop, args=(cookie,), daemon=True) for cookie in self.sent]
        for thread in self.threads:
            thread.start()

    def shop(self, cookie):
        connection, product, last = None, 0, 0
        while not self.stop.is_set():
            product += 1
            last = max(last + 1, time.time_ns() // 1_000_000)
            body = json.dumps({"time": stamp(last), "cookie": cookie, "country": "PL", "device": "PC", "action": "VIEW", "origin": self.name,
                               "product_info": {"product_id": product, "brand_id": brand(product), "category_id": "c", "price": product}})
            begin = time.monotonic()
            # Repeats carry the same key: the first may have been kept without an answer.
            headers = {"Host": self.space.host("user-tags"), "Idempotency-Key": f"{cookie}-{product}"}
            while True:
                try:
                    connection = connection or http.client.HTTPConnection(self.space.world.gateway, timeout=ANSWER_SECONDS)
                    connection.request("POST", "/user_tags", body, headers)
                    answer = connection.getresponse()
                    said = answer.read()
                    if answer.status == 204:
                        break
                    self.refused(answer, said)
                except (OSError, http.client.HTTPException) as error:
                    self.failed(type(error).__name__)
                    connection.close()
                    connection = None
                time.sleep(0.1)
                expect(time.monotonic() - begin < 180, f"a tag of {cookie} is refused for three minutes: {self.failures}")
            self.sent[cookie].append((last, product))
            self.slowest = max(self.slowest, time.monotonic() - begin)
            time.sleep(self.pause)

    def warm(self):
        """The cold start is over: from here on nothing is refused."""
        time.sleep(3)
        self.failures.clear()
        self.refusals = 0
        return self

    def refused(self, answer, said):
        """One that our own function refused in good order, to be repeated, is not one that failed."""
        detail = json.loads(said)["detail"] if answer.headers["Content-Type"] == "application/problem+json" else said[:100].decode(errors="replace")
        if answer.status == 503 and detail in self.IN_ORDER:
            self.refusals += 1
        else:
            self.failed(f"{answer.status} {detail}")

    def failed(self, what):
        self.failures[what] = self.failures.get(what, 0) + 1

    def end(self, failures_allowed=False, seconds=90):
        """Stops, and checks that each tag counts exactly once, and that each profile holds the newest 200."""
        self.stop.set()
        for thread in self.threads:
            thread.join(200)
            expect(not thread.is_alive(), "a shopper did not end")
        count, total = sum(map(len, self.sent.values())), sum(price for tags in self.sent.values() for _, price in tags)
        expect(count > 0, "no tag was sent")
        expect(failures_allowed or not self.failures, f"requests failed: {self.failures}, of {count}")
        # Minutes from the first tag to the last, at most 10 a question.
        first = int(self.begin) // 60 * 60
        after = max(tags[-1][0] for tags in self.sent.values() if tags) // 60_000 * 60 + 60
        expected = (count, total)
        eventually(f"{count} tags of {self.name} are counted", lambda: self.counted(first, after) >= expected, seconds)
        # Nothing twice: a while later it is the same.
        time.sleep(2)
        found = self.counted(first, after)
        expect(found == expected, f"{found} instead of {expected} tags and sum of prices are counted")
        for cookie, tags in self.sent.items():
            newest = [(product, brand(product)) for _, product in reversed(tags[-200:])]
            eventually(f"the profile of {cookie} holds its newest", lambda cookie=cookie, newest=newest: self.profile(cookie) == newest, 60)
        return count

    def told(self):
        return f"{self.refusals} refused for now and repeated, failed and repeated: {self.failures or 'none'}, the slowest took {self.slowest:.2f} s"

    def counted(self, first, after):
        tags = prices = 0
        for begin in range(first, after, 600):
            status, _, body = self.space.ask("POST", f"/aggregates?time_range={second(begin)}_{second(min(begin + 600, after))}&action=VIEW&origin={self.name}&aggregates=COUNT&aggregates=SUM_PRICE")
            expect(status == 200, f"aggregates: {status} {body[:200]}")
            for row in json.loads(body)["rows"]:
                tags, prices = tags + int(row[-2]), prices + int(row[-1])
        return tags, prices

    def profile(self, cookie):
        status, _, body = self.space.ask("POST", f"/user_profiles/{cookie}?time_range={second(int(self.begin) - 60)}_{second(int(time.time()) + 60)}&limit=200")
        expect(status == 200, f"a profile: {status} {body[:200]}")
        products = [tag["product_info"] for tag in json.loads(body)["views"]]
        return [(int(product["product_id"]), product["brand_id"]) for product in products]


def unique(name):
    return f"{name}-{secrets.token_hex(3)}"


def brand(product):
    """Many names: the ID service has something to do, and a wrong number would be a wrong name."""
    return f"brand {product}"


def second(time_s):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_s))


def stamp(time_ms):
    return f"{second(time_ms // 1000)}.{time_ms % 1000:03d}Z"
