"""Checks of what carries events, and of who may talk to whom."""
from .world import SERVING, SOURCES, STRIMZI, check, container, pod, seconds, template

WORKERS = {"profile-worker", "aggregate-worker"}
HOUR_S = 3600
DAY_MS = 24 * HOUR_S * 1000
# Under this name librdkafka reads without joining a group or committing, so namespaces may share it.
READERS = {"type": "group", "name": "allezon-readers"}
# Ask Kafka how far others are, and nothing else.
LOOKERS = {"console"}
APIS = {
    "KafkaSource": f"{SOURCES}/v1", "PingSource": f"{SOURCES}/v1", "KafkaTopic": f"{STRIMZI}/v1", "KafkaUser": f"{STRIMZI}/v1",
    "ConfigMap": "v1", "Namespace": "v1", "ServiceAccount": "v1", "Service": f"{SERVING}/v1", "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1", "Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1",
    "CronJob": "batch/v1",
}


@check
def kinds(world):
    """Only kinds that are meant, by their present API: Strimzi has no v1beta2 any more, an EventPolicy does not protect a Service."""
    for o in world.all():
        if APIS.get(o["kind"]) != o["apiVersion"]:
            yield f"{o['apiVersion']} {o['kind']} {o['metadata']['name']} is not meant to be here"


@check
def delivery(world):
    """Unordered, from the beginning, to an existing worker; patient for an hour, back within seconds, and nothing is dropped."""
    if world.events and not (set(world.sources) == WORKERS or "profile-worker" not in world.services or world.deliverers):
        yield f"the KafkaSources are {sorted(world.sources)}"
    for name, source in world.sources.items():
        spec = source["spec"]
        for field, value in (("ordering", "unordered"), ("initialOffset", "earliest")):
            if spec.get(field) != value:
                yield f"{name}: {field} is {spec.get(field)}, not {value}"
        if spec["sink"]["ref"]["name"] != name or name not in world.services:
            yield f"{name}: its sink is not the function of its name"
        if not 1 <= spec.get("consumers", 1) <= 20:
            yield f"{name}: more consumers than one dispatcher pod takes"
        given = spec.get("delivery", {})
        missing = {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"} - given.keys()
        if missing:
            yield f"{name}: delivery without {sorted(missing)} turns all defaults off"
            continue
        pause = seconds(given["backoffDelay"]) or 0
        if given["backoffPolicy"] != "linear" or pause <= 0:
            yield f"{name}: gaps must grow in line, and from more than 0"
        if pause * given["retry"] * (given["retry"] + 1) / 2 < HOUR_S:
            yield f"{name}: gives a good event up within an hour"
        if pause * given["retry"] > 30:
            yield f"{name}: the last gaps are longer than 30 s"
        if not 0 < (seconds(given["timeout"]) or 0) <= 30:
            yield f"{name}: holds an event longer than 30 s, or KafkaSource's 10 minutes"
        if given["deadLetterSink"].get("ref", {}).get("name") not in world.services:
            yield f"{name}: its dead letters go nowhere, and are lost"


@check
def letters(world):
    """Dead letters have an owner that is always there, and nobody delivers them again."""
    topic = world.addresses["data"]["DEAD_LETTERS"]
    readers = [name for name, source in world.sources.items() if topic in source["spec"]["topics"]]
    readers += [name for name, deliverer in world.deliverers.items() if world.variables(deliverer).get("TOPIC") == topic]
    for name in readers:
        yield f"{name}: delivers dead letters, which would turn in circles"
    keeper = world.services.get("dead-letters")
    if keeper and world.variables(keeper).get("DEAD_LETTERS") != topic:
        yield "dead-letters: keeps them elsewhere"
    if world.sources and not keeper:
        yield "nobody keeps dead letters"


@check
def groups(world):
    """The groups of the sources are fixed, the workers' own, and those that the sealer watches and the console tells about."""
    data = world.addresses["data"]
    wanted = {"profile-worker": data["PROFILE_WORKER"], "aggregate-worker": data["AGGREGATE_WORKER"]}
    for name, source in world.sources.items():
        if source["spec"].get("consumerGroup") != wanted.get(name):
            yield f"{name}: reads as {source['spec'].get('consumerGroup')}"
    if "sealer" in world.services:
        watched = world.variables(world.services["sealer"]).get("GROUPS", "")
        if set(watched.split(",")) != set(wanted.values()):
            yield f"sealer: watches {watched}"
    if "console" in world.services:
        said = world.variables(world.services["console"])
        told = {"profile-worker": said.get("PROFILE_GROUP"), "aggregate-worker": said.get("AGGREGATE_GROUP")}
        if told != wanted or said.get("TOPIC") != data["USER_TAGS"]:
            yield f"console: tells about {told} in {said.get('TOPIC')}"
    if len(set(wanted.values())) != len(wanted):
        yield "two workers share a group, so each would get a part"


@check
def rights(world):
    """Kafka's users may touch what their programs are told of, and nothing that is not there."""
    data = world.addresses["data"]
    for user in world.all("KafkaUser", STRIMZI):
        name = user["metadata"]["name"]
        has = {(rule["resource"]["type"], rule["resource"]["name"]): set(rule["operations"]) for rule in user["spec"]["authorization"]["acls"]}
        for kind, resource in has:
            if resource not in data.values() and resource != READERS["name"]:
                yield f"KafkaUser {name}: may touch the {kind} {resource}, which nobody knows"
        told = world.variables(world.services[name]) if name in world.services else {}
        for variable in ("TOPIC", "NAMES_TOPIC", "DEAD_LETTERS", "CHECKPOINTS"):
            # DescribeConfigs: a start looks whether the topic takes its batches.
            needed = {"Describe"} if name in LOOKERS else {"Write", "Describe", "DescribeConfigs"}
            if variable in told and not needed <= has.get(("topic", told[variable]), set()):
                yield f"KafkaUser {name}: may not {'look at' if name in LOOKERS else 'append to'} {told[variable]}"
        if name in LOOKERS and set().union(*has.values()) != {"Describe"}:
            yield f"KafkaUser {name}: may more than look"
        reads = any("Read" in operations for (kind, _), operations in has.items() if kind == "topic")
        if told and reads and "Describe" not in has.get(("group", READERS["name"]), set()):
            yield f"KafkaUser {name}: may read a topic, but not under the name that it reads by"
        for group in [*told.get("GROUPS", "").split(","), told.get("PROFILE_GROUP"), told.get("AGGREGATE_GROUP")]:
            if group and "Describe" not in has.get(("group", group), set()):
                yield f"KafkaUser {name}: may not ask how far {group} is"
        if name == "kafka-source":
            for source in world.sources.values():
                if not {"Read", "Describe", "Delete"} <= has.get(("group", source["spec"]["consumerGroup"]), set()) or not all(
                        {"Read", "Describe"} <= has.get(("topic", read), set()) for read in source["spec"]["topics"]):
                    yield f"KafkaUser {name}: may not read what {source['metadata']['name']} is to get"


@check
def names(world):
    """Two namespaces on one Kafka and one Aerospike do not meet."""
    data, space = world.addresses["data"], world.namespace
    here = f"{space}."
    for key in ("USER_TAGS", "NAMES", "DEAD_LETTERS", "CHECKPOINTS", "PROFILE_WORKER", "AGGREGATE_WORKER", "DEAD_LETTERS_REPLAY", "AEROSPIKE_SETS"):
        if not data[key].startswith(here):
            yield f"addresses: {key} is {data[key]}, without the namespace"
    if data["ID_SERVICE_URL"] != f"http://id-service.{space}.svc":
        yield f"addresses: ID_SERVICE_URL is {data['ID_SERVICE_URL']}"
    for name, source in world.sources.items():
        for value in [source["spec"]["consumerGroup"], *source["spec"]["topics"]]:
            if not value.startswith(here):
                yield f"KafkaSource {name}: {value} is without the namespace"
    for name, deliverer in world.deliverers.items():
        said = world.variables(deliverer)
        for variable in ("TOPIC", "GROUP", "DEAD_LETTERS"):
            if not said[variable].startswith(here):
                yield f"{name}: {variable} is {said[variable]}, without the namespace"
    for topic in world.all("KafkaTopic"):
        if not topic["spec"]["topicName"].startswith(here):
            yield f"KafkaTopic {topic['metadata']['name']}: {topic['spec']['topicName']} is without the namespace"
    for user in world.all("KafkaUser"):
        for rule in user["spec"]["authorization"]["acls"]:
            if rule["resource"] != READERS and not rule["resource"]["name"].startswith(here):
                yield f"KafkaUser {user['metadata']['name']}: may touch {rule['resource']['name']}"


@check
def addresses(world):
    """Each address stands in the ConfigMap, and whoever needs it has it from there."""
    data, name = world.addresses["data"], world.addresses["metadata"]["name"]
    if name == "addresses":
        yield "the ConfigMap has no hash in its name: a change would make no revision"
    for workload_name, workload in world.services.items():
        for entry in container(workload).get("env", []):
            reference = entry.get("valueFrom", {}).get("configMapKeyRef")
            if reference and reference["name"] != name:
                yield f"{workload_name}: {entry['name']} is from {reference['name']}, which is not {name}"
            if reference and reference["key"] not in data and not reference.get("optional"):
                yield f"{workload_name}: addresses have no {reference['key']}"
            if not reference and entry.get("value") in data.values():
                yield f"{workload_name}: {entry['name']} is said twice, here and in the addresses"
    brokers = data["KAFKA_BROKERS"]
    for source_name, source in world.sources.items():
        if source["spec"]["bootstrapServers"] != [brokers]:
            yield f"{source_name}: reads from {source['spec']['bootstrapServers']}"
    for deliverer_name, deliverer in world.deliverers.items():
        if world.variables(deliverer)["KAFKA_BROKERS"] != brokers:
            yield f"{deliverer_name}: reads from {world.variables(deliverer)['KAFKA_BROKERS']}"


def local(name):
    """A topic or group without its namespace."""
    return name.split(".", 1)[-1]


@check
def deliverers(world):
    """A deliverer does what the KafkaSource of its worker says."""
    reference = world.facts.sources
    for name, deliverer in world.deliverers.items():
        said = world.variables(deliverer)
        worker = name.replace("-deliverer", "-worker")
        source = reference.get(worker)
        if not source:
            yield f"{name}: there is no KafkaSource {worker}"
            continue
        given = source["spec"]["delivery"]
        wanted = {
            "TOPIC": (local(said["TOPIC"]), local(source["spec"]["topics"][0])),
            "GROUP": (local(said["GROUP"]), local(source["spec"]["consumerGroup"])),
            "SINK": (said["SINK"], f"http://{source['spec']['sink']['ref']['name']}.{world.namespace}.svc/"),
            "RETRIES": (said["RETRIES"], str(given["retry"])),
            "PAUSE_MS": (float(said["PAUSE_MS"]), seconds(given["backoffDelay"]) * 1000),
            "TIMEOUT_MS": (float(said["TIMEOUT_MS"]), seconds(given["timeout"]) * 1000),
        }
        for variable, (has, should) in wanted.items():
            if has != should:
                yield f"{name}: {variable} is {has}, the KafkaSource says {should}"


@check
def topics(world):
    """Topics keep what must be kept, as cluster/local/kafka/topics does."""
    if not world.topics:
        return
    needed = {"user-tags", "names", "dead-letters"} | ({"checkpoints"} if "sealer" in world.services else set())
    for name in sorted(needed - world.topics.keys()):
        yield f"topic {name} is missing"
    for name, topic in world.topics.items():
        spec, config = topic["spec"], topic["spec"].get("config", {})
        partitions, local = world.facts.topics[name]
        if spec["partitions"] != partitions:
            yield f"topic {name}: {spec['partitions']} partitions, cluster/local has {partitions}"
        if config.get("cleanup.policy") != "delete":
            yield f"topic {name}: would be compacted"
        kept = int(config.get("retention.ms", 0))
        if name == "user-tags" and "allezon" in world.services:
            if kept != -1:
                yield "topic user-tags: a store is filled from its first record on, and it is let go"
        elif name == "names" and kept != -1:
            yield "topic names: names are let go"
        elif kept != -1 and kept < 2 * DAY_MS:
            yield f"topic {name}: is kept less than 48 h"
        for key, value in local.items():
            if key != "retention.ms" and str(config.get(key)) != value:
                yield f"topic {name}: {key} is {config.get(key)}, cluster/local has {value}"
        if name == "dead-letters" and int(config.get("max.message.bytes", 0)) < 2 << 20:
            yield "topic dead-letters: an event with its reason does not fit"
        if "production" in world.name and (spec["replicas"], config.get("min.insync.replicas")) != (3, 2):
            yield f"topic {name}: the loss of a broker would be felt"
        if topic["metadata"].get("labels", {}).get("strimzi.io/cluster") != "allezon":
            yield f"topic {name}: belongs to no Kafka"


@check
def prune(world):
    """Deleting a KafkaSource deletes offsets, deleting a KafkaTopic deletes data, and without its addresses an older revision cannot start: Flux
    must do none of it by itself."""
    for o in world.all("KafkaSource") + world.all("KafkaTopic") + world.all("ConfigMap"):
        if o["metadata"].get("annotations", {}).get("kustomize.toolkit.fluxcd.io/prune") != "disabled":
            yield f"{o['kind']} {o['metadata']['name']}: may be pruned"


@check
def ticks(world):
    """The sealer is told to seal, by a schedule that the webhook takes, and does not fall asleep between."""
    pings = world.all("PingSource", SOURCES)
    if world.events and "sealer" in world.services and [ping["spec"]["sink"]["ref"]["name"] for ping in pings] != ["sealer"]:
        yield "there is not one PingSource, to the sealer"
    for ping in pings:
        if ping["spec"]["schedule"].split() != ["*"] * 5:
            yield f"PingSource {ping['metadata']['name']}: its schedule is not each minute in five fields"
        if ping["spec"].get("contentType") != "application/json":
            yield f"PingSource {ping['metadata']['name']}: says no content type"
    if "sealer" in world.services:
        window = template(world.services["sealer"])["metadata"]["annotations"].get("autoscaling.knative.dev/window", "60s")
        if int(window.rstrip("s")) < 120:
            yield "sealer: falls asleep from tick to tick, and no checkpoint is written then"


EVERYBODY = {}
# Who may ask the internal gateway.
INSIDE = [
    {"namespaceSelector": {"matchLabels": {"app.kubernetes.io/part-of": "allezon"}}},
    {"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["knative-serving", "knative-eventing"]}]}},
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "edge"}}},
]
# What a pod has whom a label lets out, and the variable that says that it needs it.
NEEDS = {"KAFKA_BROKERS": "kafka", "AEROSPIKE_HOSTS": "aerospike", "ID_SERVICE_URL": "gateway", "SINK": "gateway"}
# Who asks the API server, which tells where the pods with the figures are.
OF_A_TOKEN = {"kubernetes", "measurements"}
# Pods of our own namespace that others of it are reached by.
CONSOLE = {"podSelector": {"matchLabels": {"serving.knative.dev/service": "console"}}}
FUNCTIONS = {"podSelector": {"matchExpressions": [{"key": "serving.knative.dev/service", "operator": "Exists"}]}}


def who(need):
    return {"matchLabels": {f"egress/{need}": "allowed"}}


def allowed(policies, kind):
    """What policies allow: (selector of pods, peers, ports)."""
    for policy in policies:
        for rule in policy["spec"].get(kind, []):
            ports = {port["port"] for port in rule.get("ports", [])}
            yield policy["spec"]["podSelector"], rule.get("from" if kind == "ingress" else "to", []), ports


def spaces(peers):
    """The namespaces that peers are in; None for any."""
    for peer in peers:
        selector = peer.get("namespaceSelector", {})
        yield selector.get("matchLabels", {}).get("kubernetes.io/metadata.name")
        for rule in selector.get("matchExpressions", []):
            yield from rule["values"]


@check
def network(world):
    """Nothing is open but what is needed, and what is needed is open."""
    policies = world.all("NetworkPolicy")
    if not any(policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for policy in policies):
        yield "what no policy speaks of is open"
    into = {}
    for _, peers, ports in allowed(policies, "ingress"):
        for port in ports:
            into.setdefault(port, set()).update(filter(None, spaces(peers)))
            if not peers or any(peer.get("namespaceSelector") == {} for peer in peers):
                yield f"port {port} is open to everybody"
            ours = [peer for peer in peers if "namespaceSelector" not in peer]
            if ours and (port != 8080 or ours != [CONSOLE]):
                yield f"port {port} is open to {ours} of our own"
    wanted = {8012: {"kourier-system", "knative-serving"}, 8013: {"kourier-system", "knative-serving"}, 9090: {"knative-serving"},
              9091: {"monitoring"}, 8080: {"monitoring"}}
    if into != wanted:
        yield f"functions are reached at {into}"
    if not any(peers == [CONSOLE] for _, peers, ports in allowed(policies, "ingress") if ports == {8080}):
        yield "the console does not reach the functions' figures"
    out = {}
    for selector, peers, ports in allowed(policies, "egress"):
        for port in ports:
            out.setdefault(port, []).append(selector)
        if selector == who("measurements") and peers != [FUNCTIONS]:
            yield f"figures are looked for at {peers}"
    kafka = int(world.addresses["data"]["KAFKA_BROKERS"].rsplit(":", 1)[1])
    wanted = {53: [EVERYBODY], 4318: [EVERYBODY], kafka: [who("kafka")], 3000: [who("aerospike")], 8081: [who("gateway")],
              8444: [who("gateway")], 443: [who("kubernetes")], 6443: [who("kubernetes")], 8080: [who("measurements")]}
    if out != wanted:
        yield f"functions reach {out}"
    for name, workload in world.workloads.items():
        said = world.variables(workload)
        needs = {need for variable, need in NEEDS.items() if variable in said}
        needs |= OF_A_TOKEN if pod(workload).get("automountServiceAccountToken") is not False else set()
        labels = template(workload)["metadata"].get("labels", {})
        has = {label.split("/")[1] for label, value in labels.items() if label.startswith("egress/") and value == "allowed"}
        if needs != has:
            yield f"{name}: may reach {sorted(has)}, and needs {sorted(needs)}"
    inside = [peers for _, peers, ports in allowed(world.facts.gateway, "ingress") if 8081 in ports or 8444 in ports or not ports]
    if inside != [INSIDE]:
        yield "the internal gateway is open to others than functions, Knative and the edge"
    space = world.one("Namespace", world.namespace)
    if not space or space["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "allezon":
        yield "the internal gateway does not know the namespace"
