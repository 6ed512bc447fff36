"""Checks of the Services: what Knative refuses, takes silently, or does otherwise than meant."""
import re

from .world import STRIMZI, annotations, check, container, pod, seconds, template

PUBLIC = {"user-tags", "user-profiles", "aggregates", "allezon"}
QUERIES = {"user-profiles", "aggregates", "allezon"}
# Whose answers go on for ten minutes.
STREAMS = {"explore", "console", "allezon"}
# The one that asks the API server, and what it may.
LOOKS, LOOK = "console", [
    {"apiGroups": ["serving.knative.dev"], "resources": ["services", "revisions"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
]
# Those with routes that are not for everybody.
STAFF = {"user-profiles", "explore", "console", "dead-letters", "allezon"}
WORKERS = {"profile-worker", "aggregate-worker"}
SCALE = "autoscaling.knative.dev/"
KNOWN = {SCALE + name for name in (
    "class metric target target-utilization-percentage min-scale max-scale initial-scale activation-scale scale-down-delay "
    "scale-to-zero-pod-retention-period window panic-window-percentage panic-threshold-percentage target-burst-capacity").split()}
# What Knative refuses unless a feature is switched on, or always.
FORBIDDEN_IN_POD = {"affinity", "nodeSelector", "tolerations", "topologySpreadConstraints", "securityContext", "initContainers",
                    "priorityClassName", "dnsPolicy", "dnsConfig", "hostNetwork", "terminationGracePeriodSeconds", "runtimeClassName"}
VOLUMES = {"configMap", "secret", "projected", "emptyDir"}
# Variables that name something that others have too: a default would not carry the namespace, or lead to a developer's machine.
SHARED = {"KAFKA_BROKERS", "TOPIC", "NAMES_TOPIC", "DEAD_LETTERS", "CHECKPOINTS", "GROUP", "GROUPS", "SINK", "AEROSPIKE_HOSTS",
          "AEROSPIKE_SETS", "AEROSPIKE_SERVERS", "ID_SERVICE_URL", "PROFILE_GROUP", "AGGREGATE_GROUP"}
# Variables that are best left alone here.
UNSAID = {"LISTEN": "probes come to the pod's address and queue-proxy to the loopback one: all of them, on PORT",
          "IDLE_TIME_MS": "queue-proxy keeps idle connections for 90 s and must be the one that closes them",
          "DRAIN_TIME_MS": "must end within timeoutSeconds, after 30 s of queue-proxy's drain"}
# 30 s of queue-proxy's drain and 20 s of the function's; Knative's own limit, which is a stream's.
TIMEOUTS, STREAM_TIMEOUT = range(60, 601), 600


@check
def shape(world):
    """A Service holds what Knative takes and `kn` leaves as it is."""
    for name, service in world.services.items():
        if len(pod(service)["containers"]) != 1:
            yield f"{name}: has more than one container"
        own = container(service)
        if "name" in own:
            yield f"{name}: the container has a name, which kn takes away"
        if "traffic" in service["spec"]:
            yield f"{name}: traffic is said by kn or a canary's tool, not here"
        if "name" in template(service).get("metadata", {}):
            yield f"{name}: a revision's name would have to change with every change"
        for field in sorted(FORBIDDEN_IN_POD & pod(service).keys()) + sorted({"lifecycle"} & own.keys()):
            yield f"{name}: {field} is refused by Knative"
        for volume in pod(service).get("volumes", []):
            if not volume.keys() & VOLUMES:
                yield f"{name}: volume {volume['name']} is of a kind that Knative refuses"
        for entry in own.get("env", []):
            if entry["name"] == "PORT" or entry["name"].startswith("K_"):
                yield f"{name}: {entry['name']} is Knative's to set"
            if entry["name"] in UNSAID:
                yield f"{name}: {entry['name']}: {UNSAID[entry['name']]}"
            if "fieldRef" in entry.get("valueFrom", {}):
                yield f"{name}: {entry['name']} comes from a fieldRef, which Knative refuses"
        ports = own.get("ports", [])
        if len(ports) > 1 or any(port.get("name", "") not in ("", "http1", "h2c") for port in ports):
            yield f"{name}: only one port, named http1, h2c or not at all"


@check
def security(world):
    """Nothing that a namespace with the label `restricted` would refuse, and no token but the one that is used."""
    space = world.one("Namespace", world.namespace)
    if not space or space["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace is not labelled restricted"
    for name, workload in world.workloads.items():
        context = container(workload).get("securityContext", {})
        wanted = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                  "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        for field, value in wanted.items():
            if context.get(field) != value:
                yield f"{name}: securityContext.{field} is not {value}"
        if context.get("runAsUser", 0) == 0:
            yield f"{name}: runs as root or as whoever the image says"
        asks = name == LOOKS
        # Knative takes no `true`: the account says it.
        if pod(workload).get("automountServiceAccountToken") is not (None if asks else False):
            yield f"{name}: " + ("a token is said where Knative takes none" if asks else "a token is mounted")
        account = world.one("ServiceAccount", pod(workload).get("serviceAccountName"))
        if not account or account.get("automountServiceAccountToken") is not asks:
            yield f"{name}: has no account of its own {'with' if asks else 'without'} a token"
        if account and not asks and account["metadata"]["name"] == LOOKS:
            yield f"{name}: has the account of {LOOKS}"
    for secret in world.all("Secret"):
        yield f"Secret {secret['metadata']['name']}: secrets are never in git"


@check
def access(world):
    """One function asks the API server: it may look at functions and pods of its namespace, and nobody else may anything."""
    there = {LOOKS} & world.services.keys()
    roles = {role["metadata"]["name"]: role["rules"] for role in world.all("Role")}
    # `viewer` is for people, and whom it is given to is not said here.
    if roles.keys() - {"viewer"} != there:
        yield f"the roles are {sorted(roles)}"
    if there and roles.get(LOOKS) != LOOK:
        yield f"{LOOKS}: may {roles.get(LOOKS)}"
    bound = [(binding["roleRef"], binding.get("subjects")) for binding in world.all("RoleBinding")]
    wanted = [({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
               [{"kind": "ServiceAccount", "name": name, "namespace": world.namespace}]) for name in there]
    if bound != wanted:
        yield f"roles are given: {bound}"


@check
def staff(world):
    """Functions with routes that are not for everybody read who may from the Secret, and start without it; the others do not see it."""
    wanted = {"secretName": "staff", "optional": True, "items": [{"key": "staff", "path": "staff"}]}
    for name, workload in world.workloads.items():
        volumes = {volume["name"]: volume["secret"] for volume in pod(workload).get("volumes", []) if "secret" in volume}
        mounts = {mount["mountPath"]: mount for mount in container(workload).get("volumeMounts", []) if mount["name"] in volumes}
        said = world.variables(workload).get("STAFF_FILE")
        if name not in STAFF:
            if volumes or said:
                yield f"{name}: sees who may, and has nothing that not everybody may"
            continue
        folder, _, file = (said or "").rpartition("/")
        mount = mounts.get(folder, {})
        if volumes.get(mount.get("name")) != wanted or file != "staff" or mount.get("readOnly") is not True:
            yield f"{name}: STAFF_FILE is {said}, which is not the key of the Secret staff, read-only"


@check
def visibility(world):
    """Three functions, and allezon, are public; the others can be asked from inside only."""
    for name, service in world.services.items():
        label = service["metadata"].get("labels", {}).get("networking.knative.dev/visibility")
        if label != (None if name in PUBLIC else "cluster-local"):
            yield f"{name}: visibility is {label}"


@check
def images(world):
    """One version, the workspace's, unless a digest is pinned. Knative looks up the digest of all but dev.local/."""
    for name, workload in world.workloads.items():
        image, function = container(workload)["image"], world.program(name)
        if name in world.jobs and not world.jobs[name]["spec"].get("suspend"):
            yield f"{name}: a clock would start it"
        if "@sha256:" not in image and image != f"dev.local/allezon/{function}:{world.facts.version}":
            yield f"{name}: image is {image}, the workspace is {world.facts.version}"


@check
def probes(world):
    """On the function's own paths; readiness in Knative's fast mode; liveness later than a function may wait for Kafka (a minute)."""
    for name, service in world.services.items():
        own = container(service)
        ready, live = own.get("readinessProbe", {}), own.get("livenessProbe", {})
        if ready != {"httpGet": {"path": "/health/readiness"}}:
            yield f"{name}: readiness is not httpGet /health/readiness without a period"
        if live.get("httpGet", {}).get("path") != "/health/liveness" or live.get("initialDelaySeconds", 0) < 60:
            yield f"{name}: liveness must be httpGet /health/liveness, a minute after the start at least"
    if "allezon" in world.services:
        start = container(world.services["allezon"]).get("startupProbe", {})
        progress = annotations(world.services["allezon"]).get("serving.knative.dev/progress-deadline", "0s")
        if start.get("periodSeconds", 0) * start.get("failureThreshold", 0) < 3600 or int(progress[:-1]) < 3600:
            yield "allezon: applies the whole topic before it listens, and must get an hour for it"


def least(world, name):
    if name in ("id-service", "dead-letters", "allezon"):
        return 1
    return {"user-tags": 2, "user-profiles": 1, "aggregates": 1}.get(name, 0) if "production" in world.name else 0


@check
def scale(world):
    """How far each function scales, and by what."""
    for name, service in world.services.items():
        if any(key.startswith(SCALE) for key in service["metadata"].get("annotations", {})):
            yield f"{name}: autoscaling belongs to the template, Knative refuses it on the Service"
        notes, bound = annotations(service), pod(service).get("containerConcurrency", 0)
        for key, value in notes.items():
            if key.startswith(SCALE) and key not in KNOWN:
                yield f"{name}: Knative does not know {key}"
            if not isinstance(value, str):
                yield f"{name}: {key} is not a string"

        def get(key):
            return notes.get(SCALE + key)

        if get("min-scale") != str(least(world, name)):
            yield f"{name}: min-scale is {get('min-scale')}, not {least(world, name)}"
        if not get("max-scale") or int(get("max-scale")) < max(1, least(world, name)):
            yield f"{name}: has no max-scale above its min-scale"
        if name in ("id-service", "sealer") and get("max-scale") != "1":
            yield f"{name}: is one at most"
        if get("target-burst-capacity") != "0":
            yield f"{name}: the activator stays in the path of requests"
        # By rps whoever looks at a stream is nobody, and the pod falls asleep under it.
        metric = {"user-tags": "rps"}.get(name, "concurrency" if name in (WORKERS | QUERIES | STREAMS) - {"allezon"} else None)
        if metric and get("metric") != metric:
            yield f"{name}: scales by {get('metric')}, not by {metric}"
        if name in (WORKERS | STREAMS | {"user-tags"}) - {"allezon"} and not get("target"):
            yield f"{name}: has no target"
        if name in QUERIES and not 0 < bound <= 1000:
            yield f"{name}: containerConcurrency must bound the memory of queries"
        if name in STREAMS - QUERIES and bound:
            yield f"{name}: a stream would hold a place of containerConcurrency"
        if get("metric") == "concurrency" and bound and float(get("target") or 0) > bound:
            yield f"{name}: is never scaled out, its target is above its containerConcurrency"


@check
def resources(world):
    """Requests for the scheduler, and a limit that keeps one function's memory from the others."""
    for name, workload in world.workloads.items():
        given = container(workload).get("resources", {})
        for part, field in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if field not in given.get(part, {}):
                yield f"{name}: {part}.{field} is missing"
        for volume in pod(workload).get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{name}: {volume['name']} may fill the node's disk"


@check
def timeouts(world):
    """timeoutSeconds is the grace period too: below 60 s a function is killed without a SIGTERM."""
    for name, service in world.services.items():
        if pod(service).get("timeoutSeconds") not in TIMEOUTS:
            yield f"{name}: timeoutSeconds is {pod(service).get('timeoutSeconds')}"
        if (pod(service).get("timeoutSeconds") == STREAM_TIMEOUT) is not (name in STREAMS):
            yield f"{name}: timeoutSeconds is {pod(service).get('timeoutSeconds')}, and {STREAM_TIMEOUT} s are for streams"
    for name, source in world.sources.items():
        sink = world.services.get(source["spec"]["sink"]["ref"]["name"])
        if sink and seconds(source["spec"]["delivery"].get("timeout")) >= pod(sink).get("timeoutSeconds", 300):
            yield f"{name}: queue-proxy gives up before the delivery does"


@check
def variables(world):
    """Each variable is read by its program, and each that names something shared is said."""
    for name, workload in world.workloads.items():
        entries = container(workload).get("env", [])
        said = {entry["name"] for entry in entries}
        if len(said) != len(entries):
            yield f"{name}: a variable is said twice"
        used = set(re.findall(r"\$\((\w+)\)", " ".join(entry.get("value", "") for entry in entries)))
        read = world.facts.read_by(world.program(name))
        if read is None:
            continue
        for variable in sorted(said - read - used):
            yield f"{name}: does not read {variable}"
        for variable in sorted(used - said):
            yield f"{name}: $({variable}) stays as it is"
        for variable in sorted((read & SHARED) - said):
            yield f"{name}: {variable} is left to its default"


@check
def tls(world):
    """Whoever talks to Kafka in a cluster does it by mTLS, as a user of its own."""
    if "testbed" in world.name:
        return
    for name, service in {**world.services, **world.jobs}.items():
        said = world.variables(service)
        if "KAFKA_BROKERS" not in said:
            continue
        paths = {mount["mountPath"]: mount["name"] for mount in container(service).get("volumeMounts", [])}
        volumes = {volume["name"]: volume for volume in pod(service).get("volumes", [])}
        found = {}
        for path, volume in paths.items():
            for source in volumes.get(volume, {}).get("projected", {}).get("sources", []):
                for item in source["secret"].get("items", []):
                    found[f"{path}/{item['path']}"] = (source["secret"]["name"], item["key"])
        # A job does the work of a function, and has its account.
        user = pod(service)["serviceAccountName"] if name in world.jobs else name
        wanted = {"KAFKA_TLS_CA": ("allezon-cluster-ca-cert", "ca.crt"), "KAFKA_TLS_CERT": (user, "user.crt"),
                  "KAFKA_TLS_KEY": (user, "user.key")}
        for variable, secret in wanted.items():
            if found.get(said.get(variable)) != secret:
                yield f"{name}: {variable} is not {secret[1]} of the Secret {secret[0]}"
        if not world.one("KafkaUser", user, STRIMZI):
            yield f"{name}: Kafka has no such user"
    for name, source in world.sources.items():
        given = source["spec"].get("net", {}).get("tls", {})
        keys = {part: given.get(part, {}).get("secretKeyRef", {}).get("key") for part in ("cert", "key", "caCert")}
        if given.get("enable") is not True or keys != {"cert": "user.crt", "key": "user.key", "caCert": "ca.crt"}:
            yield f"{name}: does not use mTLS"
        elif not world.one("KafkaUser", given["cert"]["secretKeyRef"]["name"], STRIMZI):
            yield f"{name}: Kafka has no such user"


@check
def comments(world):
    """Every number of scale, concurrency, time, resources and retention has its reason above it."""
    if world.name != "production":
        return  # The files are the same.
    numbers = re.compile(r"^\s*-?\s*(autoscaling\.knative\.dev/(?:target|min-scale|max-scale|window)|containerConcurrency|"
                         r"serving\.knative\.dev/progress-deadline|requests|partitions|retention\.ms|max\.message\.bytes|flush\.messages|"
                         r"retry|timeout|consumers|schedule|terminationGracePeriodSeconds|emptyDir|startupProbe|initialOffset|ordering):")
    for path, text in world.facts.files.items():
        lines = text.splitlines()
        for above, line in zip(lines, lines[1:]):
            if numbers.match(line) and "#" not in above:
                yield f"{path}: {line.strip()}: why?"


@check
def once(world):
    """An object is made by one tree only, and belongs to the namespace."""
    if any(o["kind"] == "ConfigMap" for o in world.events):
        yield "the addresses are made by knative/, and only read in eventing/"
    seen = set()
    for o in world.all():
        key = (o["apiVersion"], o["kind"], o["metadata"]["name"])
        if key in seen:
            yield f"{' '.join(key)} is there twice"
        seen.add(key)
        if o["kind"] != "Namespace" and o["metadata"].get("namespace") != world.namespace:
            yield f"{' '.join(key)} is in namespace {o['metadata'].get('namespace')}"
