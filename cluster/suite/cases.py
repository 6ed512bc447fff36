"""What the functions promise on a cluster, a case each, in the order in which they are tried."""

import json
import os
import re
import secrets
import threading
import time

from world import ROOT, Load, eventually, expect, run, second, stamp, unique

CASES = []


class Case:
    def __init__(self, function, overlays):
        self.run, self.overlays = function, overlays
        self.name, self.title = function.__name__, " ".join(function.__doc__.split()).rstrip(".")

    def fits(self, overlay):
        return ("minimal" if overlay.endswith("minimal") else "production") in self.overlays


def case(*overlays):
    def keep(function):
        CASES.append(Case(function, overlays or ("minimal", "production")))
        return function
    return keep


# ---- deploying

@case()
def deploy(space):
    """Deployed by `kubectl apply -k`, everything becomes ready and answers; nothing is left to apply."""
    space.make_topics()
    space.make_credentials()
    begin = time.monotonic()
    space.deploy()
    ready = time.monotonic() - begin
    buys_and_is_seen(space, "first")
    no_difference(space)
    return f"ready after {ready:.0f} s, the first tag visible after {time.monotonic() - begin:.0f} s"


def buys_and_is_seen(space, name):
    """One tag in, and out of both answers; says whose."""
    name = unique(name)
    now = time.time_ns() // 1_000_000
    body = tag(name, now)
    # It is repeated where nobody can say whether it was kept, and must count once all the same.
    eventually(f"{name}'s tag is taken", lambda: status_of(space, "POST", "/user_tags", body, key=name) == 204, 60)
    minute = now // 60_000 * 60
    profile = f"/user_profiles/{name}?time_range={second(minute)}_{second(minute + 120)}"
    eventually(f"{name}'s tag is in the profile", lambda: json.loads(space.ask("POST", profile)[2])["views"], 60)
    rows = f"/aggregates?time_range={second(minute)}_{second(minute + 60)}&action=VIEW&origin={name}&aggregates=COUNT"
    eventually(f"{name}'s tag is counted", lambda: json.loads(space.ask("POST", rows)[2])["rows"][0][-1] == "1", 90)
    return name


def tag(cookie, now, **more):
    return json.dumps({"time": stamp(now), "cookie": cookie, "country": "PL", "device": "PC", "action": "VIEW", "origin": cookie,
                       "product_info": {"product_id": 1, "brand_id": "b", "category_id": "c", "price": 100}, **more})


def status_of(space, *request, **more):
    return space.ask(*request, **more)[0]


def no_difference(space):
    result = space.kubectl("diff", "--kustomize", space.functions, check=False)
    lines = [line for line in result.stdout.splitlines() if line[:1] in "+-" and not re.match(r"[+-]\s*(generation:|\+\+|--)", line)]
    expect(result.returncode in (0, 1) and not lines, f"kubectl diff: {lines[:10]} {result.stderr[:300]}")


@case()
def deploy_with_kn(space):
    """Deployed by `kn service apply`, one file each, it is the same; two namespaces on one Kafka do not meet."""
    other = space.world.space(unique(space.name))
    other.make_topics()
    other.make_credentials()
    files = other.folder / "rendered"
    files.mkdir()
    run("kubectl", "kustomize", other.functions, "--output", files)
    services = []
    # The namespace and the accounts first.
    for file in sorted(files.iterdir(), key=lambda file: (not file.name.startswith("v1_namespace"), file.name)):
        if "_service_" in file.name and "serving.knative.dev" in file.name:
            services.append(file)
        else:
            other.kubectl("apply", "--filename", file)
    for file in services:
        other.kn("service", "apply", "--filename", file, "--no-wait")
    if other.eventing:
        other.kubectl("apply", "--kustomize", other.eventing)
    other.ready()
    no_difference(other)
    # The same shopper in both, at another time of the same minute.
    neighbour = buys_and_is_seen(other, "neighbour")
    now = time.time()
    question = f"/user_profiles/{neighbour}?time_range={second(now - 300)}_{second(now + 300)}"
    expect(json.loads(space.ask("POST", question)[2])["views"] == [], "a tag of one namespace is seen in another")
    theirs = other.addresses()
    ours = space.addresses()
    for name in ("USER_TAGS", "NAMES", "DEAD_LETTERS", "CHECKPOINTS", "PROFILE_WORKER", "AGGREGATE_WORKER", "AEROSPIKE_SETS"):
        expect(ours[name] != theirs[name], f"{name} is the same in both namespaces")
    other.remove()


@case()
def documented(space):
    """Every block of commands in docs/operate.md, On Knative, does what is written there."""
    text = (ROOT / "docs/operate.md").read_text().split("\n# On Knative\n")[1].split("\n# ")[0]
    blocks = re.findall(r"(<!-- every function a Service -->\n)?```sh\n(.*?)```", text, re.S)
    expect(len(blocks) > 8, f"only {len(blocks)} blocks")
    # The context's namespace is ours; and a shell keeps what the blocks before have set.
    config = space.folder / "kubeconfig"
    config.write_text(run("kubectl", "config", "view", "--raw", "--flatten"))
    config.chmod(0o600)
    environment = {**os.environ, "KUBECONFIG": str(config), "OVERLAY": "suite", "FROM": str(space.folder.relative_to(ROOT)), "MAKEFLAGS": "--no-print-directory"}
    run("kubectl", "config", "set-context", "--current", "--namespace", space.name, env=environment)
    here = run("kubectl", "config", "view", "--minify", "--output=jsonpath={..namespace}", env=environment)
    expect(here == space.name, f"kubectl goes by another configuration than KUBECONFIG: its namespace is {here or 'default'}")
    # What a block leaves running when it fails would be waited for.
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nkn() { command " + " ".join(space.world.kn) + ' "$@"; }\n'
    done = 0
    for only, block in blocks:
        if not only or space.world.is_production:
            done += 1
            script += f"echo '## block {done}' >&2; set -x\n{block}{{ set +x; }} 2>/dev/null\n"
    result = run("bash", "-c", script, check=False, cwd=ROOT, env=environment, seconds=900)
    expect(result.returncode == 0, f"{result.stdout[-600:]} {result.stderr[-1500:]}")
    no_difference(space)
    return f"{done} blocks"


# ---- the contract

@case()
def contract(space):
    """The contract over the ingress: exact answers, refusals, and a score of 100 %."""
    now = time.time_ns() // 1_000_000
    exact = unique("exact")
    sent = tag(exact, now)
    for path, body, wanted in [("/user_tags", sent, 204), ("/user_tags", "{", 400), ("/user_tags", tag("bad", now, device="FRIDGE"), 400),
                               (f"/user_profiles/{exact}?time_range=x", None, 400), ("/aggregates?time_range=x", None, 400)]:
        status, headers, answer = space.ask("POST", path, body)
        expect(status == wanted, f"{path} {body}: {status} {answer[:200]}")
        if wanted == 400:
            expect(headers["Content-Type"] == "application/problem+json", f"{path}: {headers['Content-Type']}")
    expect(status_of(space, "GET", "/user_tags") == 405, "GET /user_tags is not refused")
    expect(status_of(space, "POST", "/user_tags", "x" * (2 << 20)) == 413, "2 MiB are not refused")
    minute = now // 60_000 * 60
    question = f"/user_profiles/{exact}?time_range={second(minute)}_{second(minute + 60)}&limit=1"
    wanted = {"cookie": exact, "views": [json.loads(sent)], "buys": []}
    eventually("the profile holds the tag as it was sent", lambda: json.loads(space.ask("POST", question)[2]) == wanted, 60)
    who = space.credentials()
    grouped = json.dumps({"time_range": f"{second(minute)}_{second(minute + 60)}", "filters": {"origin": {"in": [exact]}}, "group_by": ["origin"]})
    eventually("explore counts the tag", lambda: json.loads(space.ask("POST", "/explore", grouped, who=who)[2])["rows"] == [[second(minute), exact, 1]], 60)
    text = space.world.simulator(space, "score", "--duration", "2m", "--rate", "1200", "--cookies", "500", "--connections", "32",
                                 *another_stream(),
                                 "--profile-visibility", "15s", "--aggregates-visibility", "30s", "--retry-doubtful", "5", "--json", seconds=420)
    result = json.loads(text)
    return f"score {result['score_pct']:.4f} %, {result['failed_requests_pct']:.4f} % of requests failed"


@case()
def staff(space):
    """What is for staff is answered to staff, and to nobody else; streams begin; the console sees every function."""
    buys_and_is_seen(space, "erased")
    who = space.credentials()
    minute = int(time.time()) // 60 * 60
    question = json.dumps({"time_range": f"{second(minute - 60)}_{second(minute + 60)}"})
    asked = [("POST", "/explore", question, None), ("GET", "/explore/live", None, b"event: minute"), ("GET", "/console", None, None),
             ("GET", "/console/now", None, b"event: now"), ("GET", "/console/functions", None, None), ("DELETE", f"/user_profiles/{unique('erased')}", None, None)]
    if space.world.is_production:
        asked += [("GET", "/dead_letters?limit=1", None, None), ("POST", "/replay?dry_run=true", None, None)]
    for method, path, body, event in asked:
        for other in (None, "suite:0123456789abcdef", f"another:{who.split(':', 1)[1]}"):
            status, headers, answer = space.ask(method, path, body, who=other)
            expect(status == 401, f"{method} {path} of {'nobody' if other is None else 'another'}: {status} {answer[:200]}")
            expect(headers.get("WWW-Authenticate", "").startswith("Basic "), f"{method} {path}: a browser is not told to ask who it is")
        page = {"Origin": "https://elsewhere.test"}
        expect(status_of(space, method, path, body, who=who, headers=page) == 403, f"{method} {path}: a page of another site is answered")
        # As the edge tells it.
        page |= {"X-Forwarded-Host": "elsewhere.test"}
        status, headers, answer = space.ask(method, path, body, who=who, headers=page, lines=8 if event else None)
        expect(status in (200, 204), f"{method} {path} of staff: {status} {answer[:200]}")
        expect(event is None or (headers["Content-Type"] == "text/event-stream" and event in answer), f"{path}: {headers['Content-Type']} {answer[:200]}")
    eventually("the console's board has figures of the pods", lambda: the_board_is_full(space, who), 60)
    return f"{len(asked)} requests, {every_function_is_told(space, who)} functions"


def the_board_is_full(space, who):
    """All pods and Kafka have told the console what they know."""
    look = lambda: space.ask("GET", "/console/now", who=who, lines=8)[2].decode().splitlines()
    look()
    # Where nobody who takes tags is asked, the board tells what has become visible since it was looked at before.
    buys_and_is_seen(space, "watched")
    lines = look()
    now = json.loads([line for line in lines if line.startswith("data:")][-1][5:])
    workers = {"profile-worker", "aggregate-worker"}
    expect(not now["problems"], f"the console has problems: {now['problems']}")
    expect({each["worker"] for each in now["lag"]} == workers, f"the console knows the lag of {now['lag']}")
    expect(set(now["visibility_ms"]) == workers, f"the console knows the visibility of {now['visibility_ms']}")
    return True


def every_function_is_told(space, who):
    """What the console says of functions is what Kubernetes says; in one process, it has more of them than Services."""
    told = json.loads(space.ask("GET", "/console/functions", who=who)[2])
    names = {each["name"] for each in told["functions"]}
    services = {service["metadata"]["name"] for service in space.get("services.serving.knative.dev")["items"]}
    expect(told["where"] == ("cluster" if space.world.is_production else "process"), f"the console says that it is in a {told['where']}")
    expect(names == services if space.world.is_production else {"explore", "aggregates"} <= names, f"the console knows {sorted(names)}")
    return len(names)


def another_stream():
    """A day where nothing of another stream is, and shoppers that no other has: of each the newest 200 tags are kept, whose days may be later."""
    return "--start", second(978_307_200 + secrets.randbelow(3000) * 172_800), "--seed", str(secrets.randbelow(1 << 32))


@case()
def policies(space):
    """A pod that does not say that it needs Kafka does not reach it, and does once it says so."""
    function = space.get("services.serving.knative.dev", "user-tags")["spec"]["template"]["spec"]
    container = {**function["containers"][0], "name": "probe", "readinessProbe": {"httpGet": {"path": "/health/readiness", "port": 8080}}}
    container.pop("livenessProbe", None)
    container["env"] = [*container["env"], {"name": "PORT", "value": "8080"}]  # Knative's to set otherwise.
    pod = {"serviceAccountName": "user-tags", "automountServiceAccountToken": False, "containers": [container], "volumes": function.get("volumes", [])}
    file = space.folder / "probe.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": pod}))
    space.kubectl("apply", "--filename", file)
    try:
        ready = ("wait", "--for=condition=Ready", "pod/probe")
        if space.kubectl(*ready, "--timeout=20s", check=False).returncode == 0:
            return "skipped: the network plug-in enforces no NetworkPolicies"
        space.kubectl("label", "pod", "probe", "egress/kafka=allowed")
        space.kubectl(*ready, "--timeout=50s")
        return None
    finally:
        space.kubectl("delete", "pod", "probe", "--wait=false")


# ---- scaling

@case()
def scale(space):
    """user-tags goes away when nobody shops, comes back for one request, and multiplies under load, all without loss."""
    gone(space, "user-tags")
    begin = time.monotonic()
    expect(status_of(space, "POST", "/user_tags", tag("cold", time.time_ns() // 1_000_000)) == 204, "the first tag was not taken")
    cold = time.monotonic() - begin
    # A low target makes many of few requests.
    space.kn("service", "update", "user-tags", "--annotation", "autoscaling.knative.dev/target=20", "--no-wait")
    space.wait_ready("user-tags")
    load = Load(space, "many", shoppers=16)
    most = eventually("user-tags has three pods", lambda: len(space.pods("user-tags")) >= 3 and len(space.pods("user-tags")), 90)
    count = load.end()
    gone(space, "user-tags")
    restore(space)
    return f"a cold start took {cold:.2f} s; {most} pods; {count} tags; {load.told()}"


def gone(space, function):
    def none_runs():
        pods = space.get("pods", "--selector", f"serving.knative.dev/service={function}")["items"]
        # One that waits for an image which is nowhere waits for ten minutes, and answers nobody.
        return not [pod for pod in pods if pod["status"]["phase"] == "Running"]
    eventually(f"{function} goes away", none_runs, 180)


def restore(space):
    """Back to what the overlay says: what kn has set besides goes."""
    for service in space.get("services.serving.knative.dev")["items"]:
        name, spec = service["metadata"]["name"], service["spec"]
        names = [each["name"] for each in spec["template"]["spec"]["containers"][0].get("env", [])]
        words = ["--env", "SUITE-"] if "SUITE" in names else []
        words += ["--traffic", "@latest=100"] if any(not each.get("latestRevision") for each in spec.get("traffic", [])) else []
        if words:
            space.kn("service", "update", name, *words, "--no-wait")
    space.deploy()


# ---- new revisions

@case()
def roll_out(space):
    """A roll-out of every function under load fails no request and loses nothing."""
    load = Load(space, "rolling").warm()
    stop, wrong = threading.Event(), []

    def ask():
        now = int(time.time())
        while not stop.is_set():
            for path in (f"/user_profiles/{next(iter(load.sent))}?time_range={second(now - 600)}_{second(now + 600)}",
                         f"/aggregates?time_range={second(now // 60 * 60 - 60)}_{second(now // 60 * 60)}&action=VIEW&aggregates=COUNT"):
                try:
                    status, _, body = space.ask("POST", path)
                    if status != 200:
                        wrong.append(f"{path}: {status} {body[:100]}")
                except (OSError, ValueError) as error:
                    wrong.append(f"{path}: {error}")
            time.sleep(0.1)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    functions = [service["metadata"]["name"] for service in space.get("services.serving.knative.dev")["items"]]
    for function in functions:
        before = space.revisions(function)
        space.kn("service", "update", function, "--env", "SUITE=1")
        space.wait_ready(function)
        expect(space.revisions(function) != before, f"{function} has no new revision")
    time.sleep(5)
    stop.set()
    asking.join(60)
    count = load.end()
    expect(not wrong, f"{len(wrong)} questions failed: {wrong[:3]}")
    restore(space)
    return f"{len(functions)} functions, {count} tags; {load.told()}"


@case()
def canary(space):
    """A tenth of the requests go to a new revision; its tag has an address of its own; then everything goes back."""
    old = space.get("services.serving.knative.dev", "user-tags")["status"]["latestReadyRevisionName"]
    # First the old one gets everything by its name, so that the new one begins with nothing.
    space.kn("service", "update", "user-tags", "--traffic", f"{old}=100")
    space.kn("service", "update", "user-tags", "--env", "SUITE=canary", "--tag", "@latest=canary", "--traffic", f"{old}=90", "--traffic", "@latest=10")
    space.wait_ready("user-tags")
    new = space.get("services.serving.knative.dev", "user-tags")["status"]["latestReadyRevisionName"]
    expect(new != old, "there is no new revision")
    eventually("the canary answers at its own address", lambda: status_of(space, "POST", "/user_tags", tag("canary", time.time_ns() // 1_000_000), tag="canary") == 204, 60)
    load = Load(space, "canary-load", shoppers=4)
    eventually("both revisions have pods", lambda: {pod["metadata"]["labels"]["serving.knative.dev/revision"] for pod in space.pods("user-tags")} >= {old, new}, 60)
    time.sleep(5)
    load.end()
    # Not well: back.
    space.kn("service", "update", "user-tags", "--traffic", f"{old}=100", "--untag", "canary")
    traffic = space.get("services.serving.knative.dev", "user-tags")["status"]["traffic"]
    expect([each["revisionName"] for each in traffic if each.get("percent")] == [old], f"traffic after the way back: {traffic}")
    expect(not traffic[0].get("latestRevision"), "a rollback does not pin")
    restore(space)
    traffic = space.get("services.serving.knative.dev", "user-tags")["status"]["traffic"]
    expect(traffic[0].get("latestRevision") and traffic[0]["percent"] == 100, f"traffic: {traffic}")


@case()
def wrong_image(space):
    """A wrong image tag does no harm: the old revision keeps serving."""
    load = Load(space, "mistaken", shoppers=2).warm()
    image = space.get("services.serving.knative.dev", "user-tags")["spec"]["template"]["spec"]["containers"][0]["image"]
    space.kn("service", "update", "user-tags", "--image", f"{image}-mistaken", "--no-wait")

    def refused():
        waiting = [status["state"].get("waiting", {}).get("reason") for pod in space.pods("user-tags") for status in pod["status"].get("containerStatuses", [])]
        return any(reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull") for reason in waiting)

    eventually("the new revision has no image", refused, 60)
    time.sleep(3)
    count = load.end()
    restore(space)
    return f"{count} tags; {load.told()}"


# ---- harm

@case()
def pods_deleted(space):
    """The loss of any pod, the gateway's included, loses nothing."""
    load = Load(space, "bereft")
    for service in space.get("services.serving.knative.dev")["items"]:
        function = service["metadata"]["name"]
        for pod in space.pods(function):
            space.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", check=False)
        time.sleep(3)
    for namespace in ("kourier-system", "knative-serving"):
        run("kubectl", "delete", "pod", "-n", namespace, "--selector", "app=3scale-kourier-gateway", "--wait=false", check=False)
    eventually("the gateway is back", lambda: status_of(space, "POST", "/user_tags", tag("gateway", time.time_ns() // 1_000_000), seconds=5) == 204, 120)
    time.sleep(3)
    space.ready()
    count = load.end(failures_allowed=True)
    return f"{count} tags; {load.told()}"


@case()
def broker_killed(space):
    """kill -9 of the broker under load loses and doubles nothing."""
    load = Load(space, "brokerless")
    time.sleep(3)
    space.world.kafka("kill9")
    time.sleep(5)
    space.world.kafka("start")
    time.sleep(5)
    count = load.end(failures_allowed=True)
    space.ready()
    return f"{count} tags; {load.told()}"


@case()
def drained(space):
    """All pods of the functions evicted, as a drain does: nothing is lost."""
    load = Load(space, "drained")
    time.sleep(2)
    for pod in space.get("pods", "--selector", "serving.knative.dev/service")["items"]:
        name = pod["metadata"]["name"]
        eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": space.name}})
        space.kubectl("create", "--raw", f"/api/v1/namespaces/{space.name}/pods/{name}/eviction", "--filename", "-", stdin=eviction, check=False)
    time.sleep(5)
    space.ready()
    count = load.end(failures_allowed=True)
    return f"{count} tags; {load.told()}"


# ---- every function a Service

@case("production")
def burst(space):
    """From nothing to 80 % of what was sustained just before: every tag is taken, and nothing is lost."""
    hot = space.world.simulator(space, "load", "--closed-loop", "tags", "--duration", "20s", "--connections", "64", *another_stream(),
                                "--json", seconds=120)
    lane = json.loads(hot)["requests"]["user_tags"]
    rate = int(0.8 * lane["per_second"])
    idle(space)
    gone(space, "user-tags")
    text = space.world.simulator(space, "score", "--duration", f"{max(60, rate * 40 // 1000)}s", "--rate", str(rate), *another_stream(), "--cookies", "2000",
                                 "--connections", "64", "--profile-visibility", "60s", "--aggregates-visibility", "90s", "--retry-doubtful", "50",
                                 "--max-failed", "100", "--json", seconds=600)
    result = json.loads(text)
    idle(space)
    return f"{rate} tags/s, score {result['score_pct']:.4f} %, {result['failed_requests_pct']:.3f} % of requests refused and repeated"


def idle(space):
    """The groups have nothing left to do."""
    names = space.addresses()
    for group in ("PROFILE_WORKER", "AGGREGATE_WORKER"):
        eventually(f"{group} has nothing left", lambda group=group: space.world.lag(names[group]) == 0, 180)


@case("production")
def one_id_service(space):
    """There is one ID service; two of them for a while, of two revisions, give out no name twice."""
    expect(len(space.pods("id-service")) == 1, f"{len(space.pods('id-service'))} pods")
    load = Load(space, "twice")
    space.kn("service", "update", "id-service", "--annotation", "autoscaling.knative.dev/min-scale=2", "--annotation", "autoscaling.knative.dev/max-scale=2")
    eventually("there are two", lambda: len(space.pods("id-service")) >= 2, 60)
    time.sleep(15)
    count = load.end()
    restore(space)
    eventually("there is one again", lambda: len(space.pods("id-service")) == 1, 240)
    return f"{count} tags, each with a name of its own"


@case("production")
def ticks(space):
    """PingSource wakes the sealer each minute."""
    def ticked():
        pods = space.pods("sealer")
        expect(pods, "the sealer sleeps")
        figures = space.kubectl("get", "--raw", f"/api/v1/namespaces/{space.name}/pods/{pods[0]['metadata']['name']}:8080/proxy/metrics")
        counted = re.findall(r'^http_server_request_duration_seconds_count\{.*?"POST".*?\} (\d+)', figures, re.M)
        return sum(map(int, counted)) > 0
    eventually("a tick has arrived", ticked, 150)


@case("production")
def delivered_twice(space):
    """Everything that Kafka holds is delivered once more: nothing counts twice."""
    load = Load(space, "again")
    time.sleep(5)
    count = load.end()
    idle(space)
    names = space.addresses()
    space.kubectl("scale", "deployment", "profile-deliverer", "aggregate-deliverer", "--replicas=0")
    eventually("the deliverers are gone", lambda: not space.get("pods", "--selector", "app.kubernetes.io/name in (profile-deliverer,aggregate-deliverer)")["items"], 90)
    for group in (names["PROFILE_WORKER"], names["AGGREGATE_WORKER"]):
        space.world.kafka_groups("--group", group, "--topic", names["USER_TAGS"], "--reset-offsets", "--to-earliest", "--execute")
    left = space.world.lag(names["PROFILE_WORKER"])
    expect(left > 0, "nothing is delivered again")
    space.kubectl("scale", "deployment", "profile-deliverer", "aggregate-deliverer", "--replicas=1")
    space.ready()
    idle(space)
    load.end()
    return f"{count} tags, {left} batches again"


@case("production")
def dead_letters(space):
    """What a worker refuses becomes a dead letter after its retries, and goes in by a replay."""
    idle(space)
    before = letters(space)["letters"]
    # Retries for a test; and for the worker a function that takes no events.
    space.kubectl("set", "env", "deployment/aggregate-deliverer", "RETRIES=2", "SERVICE=aggregates")
    space.kubectl("rollout", "status", "deployment/aggregate-deliverer", "--timeout=120s")
    load = Load(space, "refused", shoppers=2)
    eventually("there are dead letters", lambda: letters(space)["letters"] > before + 3, 120)
    load.stop.set()
    for thread in load.threads:
        thread.join()
    idle(space)
    space.kubectl("apply", "--kustomize", space.eventing)
    space.kubectl("rollout", "status", "deployment/aggregate-deliverer", "--timeout=120s")
    dead = letters(space)["letters"] - before
    pod = space.pods("dead-letters")[0]["metadata"]["name"]
    space.kubectl("exec", pod, "--container", "user-container", "--", "/function", "replay")
    count = load.end()
    return f"{dead} dead letters of {count} tags"


def letters(space):
    return json.loads(space.ask("GET", "/dead_letters?limit=1", who=space.credentials())[2])


@case("production")
def store_killed(space):
    """kill -9 of Aerospike under load loses and doubles nothing."""
    load = Load(space, "storeless")
    time.sleep(5)
    space.world.kill_aerospike()
    time.sleep(3)
    space.world.start_aerospike()
    time.sleep(5)
    # What the crash took comes again when the sealer has seen it: at its next tick.
    count = load.end(failures_allowed=True, seconds=240)
    space.ready()
    return f"{count} tags; {load.told()}"
