"""For each check, manifests that it must refuse."""
from . import crds
from .world import CHECKS, annotations, container, pod, template

SCALE = "autoscaling.knative.dev/"


def service(name):
    return lambda world: world.services[name]


def mutate(part, what):
    """A change of the object that `part` finds."""
    return lambda world: what(part(world))


def source(what):
    return lambda world: what(world.sources["profile-worker"]["spec"])


def topic(name, what):
    return lambda world: what(world.topics[name])


def acl(user, what):
    return lambda world: what(world.one("KafkaUser", user)["spec"]["authorization"]["acls"])


def role(what):
    return lambda world: what(world.one("Role", "console")["rules"])


def policy(name, what):
    return lambda world: what(world.one("NetworkPolicy", name)["spec"])


def drop(mapping, *keys):
    for key in keys:
        mapping.pop(key)


def add(kind, api, **more):
    return lambda world: world.events.append({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": world.namespace}, **more})


def environment(workload, name, value):
    container(workload)["env"].append({"name": name, "value": value})


def reword(path, old, new):
    def change(world):
        assert old in world.facts.files[path], old
        world.facts.files[path] = world.facts.files[path].replace(old, new)
    return change


# The check, the overlay, the change.
MUTATIONS = [
    ("shape", "production", mutate(service("user-tags"), lambda s: container(s).update(name="user-tags"))),
    ("shape", "production", mutate(service("user-tags"), lambda s: s["spec"].update(traffic=[]))),
    ("shape", "production", mutate(service("user-tags"), lambda s: template(s)["metadata"].update(name="user-tags-1"))),
    ("shape", "production", mutate(service("user-tags"), lambda s: pod(s).update(terminationGracePeriodSeconds=60))),
    ("shape", "production", mutate(service("user-tags"), lambda s: container(s).update(lifecycle={}))),
    ("shape", "production", mutate(service("user-tags"), lambda s: environment(s, "PORT", "1"))),
    ("shape", "production", mutate(service("user-tags"), lambda s: environment(s, "K_SERVICE", "1"))),
    *(("shape", "production", mutate(service("user-tags"), lambda s, name=name: environment(s, name, "1")))
      for name in ("LISTEN", "IDLE_TIME_MS", "DRAIN_TIME_MS")),
    ("shape", "production", mutate(service("user-tags"), lambda s: container(s).update(ports=[{"containerPort": 1}, {"containerPort": 2}]))),
    ("shape", "production", mutate(service("user-tags"), lambda s: container(s).update(ports=[{"name": "http"}]))),
    ("shape", "minimal", mutate(service("allezon"), lambda s: pod(s)["volumes"].append({"name": "x", "hostPath": {}}))),
    ("shape", "production", mutate(service("user-tags"),
     lambda s: container(s)["env"].append({"name": "NODE", "valueFrom": {"fieldRef": {}}}))),
    ("shape", "production", mutate(service("user-tags"), lambda s: pod(s)["containers"].append({}))),
    ("security", "production", mutate(service("sealer"), lambda s: drop(container(s), "securityContext"))),
    ("security", "production", mutate(service("sealer"), lambda s: container(s)["securityContext"].update(runAsUser=0))),
    ("security", "production", mutate(service("sealer"), lambda s: container(s)["securityContext"].update(readOnlyRootFilesystem=False))),
    ("security", "production", mutate(service("sealer"), lambda s: drop(pod(s), "automountServiceAccountToken"))),
    ("security", "production", mutate(service("sealer"), lambda s: pod(s).update(serviceAccountName="default"))),
    ("security", "testbed", lambda w: drop(w.one("Namespace", "allezon")["metadata"]["labels"], "pod-security.kubernetes.io/enforce")),
    ("security", "production", add("Secret", "v1")),
    ("security", "production", mutate(service("explore"), lambda s: pod(s).update(automountServiceAccountToken=True))),
    ("security", "production", mutate(service("explore"), lambda s: pod(s).update(serviceAccountName="console"))),
    *(("security", "production", mutate(service("console"), lambda s, said=said: pod(s).update(automountServiceAccountToken=said)))
      for said in (True, False)),
    ("security", "production", lambda w: w.one("ServiceAccount", "console").update(automountServiceAccountToken=False)),
    ("security", "production", lambda w: w.one("ServiceAccount", "sealer").update(automountServiceAccountToken=True)),
    ("security", "minimal", lambda w: w.one("ServiceAccount", "allezon").update(automountServiceAccountToken=True)),
    ("access", "production", role(lambda rules: rules[0]["verbs"].append("watch"))),
    ("access", "production", role(lambda rules: rules[1]["resources"].append("secrets"))),
    ("access", "production", role(lambda rules: rules.pop(1))),
    ("access", "production", lambda w: w.functions.remove(w.one("RoleBinding", "console"))),
    ("access", "trial of production", lambda w: w.one("RoleBinding", "console")["subjects"][0].update(namespace="allezon")),
    ("access", "production", lambda w: w.one("RoleBinding", "console")["subjects"][0].update(name="explore")),
    ("access", "production", lambda w: w.one("RoleBinding", "console")["roleRef"].update(name="viewer")),
    ("access", "minimal", add("RoleBinding", "rbac.authorization.k8s.io/v1", roleRef={"name": "viewer"})),
    ("access", "minimal", add("Role", "rbac.authorization.k8s.io/v1", rules=[])),
    ("staff", "production", mutate(service("explore"), lambda s: pod(s)["volumes"][0]["secret"].pop("optional"))),
    ("staff", "production", mutate(service("explore"), lambda s: pod(s)["volumes"][0]["secret"].update(secretName="people"))),
    ("staff", "production", mutate(service("dead-letters"), lambda s: container(s)["volumeMounts"][-1].pop("readOnly"))),
    ("staff", "minimal", mutate(service("allezon"),
     lambda s: container(s).update(env=[e for e in container(s)["env"] if e["name"] != "STAFF_FILE"]))),
    ("staff", "testbed", mutate(service("user-profiles"), lambda s: container(s)["volumeMounts"][-1].update(mountPath="/etc/staff"))),
    ("staff", "production", mutate(service("aggregates"), lambda s: environment(s, "STAFF_FILE", "/etc/allezon/staff"))),
    ("staff", "production", lambda w: pod(w.jobs["replay-dead-letters"])["volumes"].append({"name": "staff", "secret": {"secretName": "staff"}})),
    ("visibility", "production", mutate(service("console"), lambda s: drop(s["metadata"], "labels"))),
    ("visibility", "production", mutate(service("id-service"), lambda s: drop(s["metadata"], "labels"))),
    ("visibility", "production",
     mutate(service("aggregates"), lambda s: s["metadata"].update(labels={"networking.knative.dev/visibility": "cluster-local"}))),
    ("images", "production", mutate(service("sealer"), lambda s: container(s).update(image="dev.local/allezon/sealer:latest"))),
    ("images", "testbed", lambda w: w.jobs["rebuild"]["spec"].update(suspend=False)),
    ("images", "testbed", lambda w: container(w.jobs["rebuild"]).update(image="dev.local/allezon/rebuild:0.1.0")),
    ("tls", "production", lambda w: drop(container(w.jobs["rebuild"]), "volumeMounts")),
    ("images", "testbed", lambda w: container(w.deliverers["profile-deliverer"]).update(image="dev.local/allezon/deliverer")),
    ("probes", "production", mutate(service("sealer"), lambda s: container(s)["readinessProbe"].update(periodSeconds=5))),
    ("probes", "production", mutate(service("sealer"), lambda s: drop(container(s), "livenessProbe"))),
    ("probes", "production", mutate(service("sealer"), lambda s: container(s)["livenessProbe"].update(initialDelaySeconds=5))),
    ("probes", "minimal", mutate(service("allezon"), lambda s: drop(container(s), "startupProbe"))),
    ("probes", "minimal", mutate(service("allezon"), lambda s: drop(annotations(s), "serving.knative.dev/progress-deadline"))),
    ("scale", "production", mutate(service("user-tags"), lambda s: s["metadata"].update(annotations={SCALE + "min-scale": "2"}))),
    ("scale", "production", mutate(service("user-tags"), lambda s: annotations(s).update({SCALE + "min-scale": "0"}))),
    ("scale", "production", mutate(service("user-tags"), lambda s: annotations(s).update({SCALE + "minScale": "2"}))),
    ("scale", "production", mutate(service("user-tags"), lambda s: annotations(s).update({SCALE + "target": 10000}))),
    ("scale", "production", mutate(service("user-tags"), lambda s: annotations(s).update({SCALE + "metric": "concurrency"}))),
    ("scale", "production", mutate(service("user-tags"), lambda s: annotations(s).update({SCALE + "max-scale": "1"}))),
    ("scale", "production", mutate(service("id-service"), lambda s: annotations(s).update({SCALE + "max-scale": "2"}))),
    ("scale", "testbed", mutate(service("dead-letters"), lambda s: annotations(s).update({SCALE + "min-scale": "0"}))),
    ("scale", "production", mutate(service("sealer"), lambda s: drop(annotations(s), SCALE + "target-burst-capacity"))),
    ("scale", "production", mutate(service("aggregates"), lambda s: drop(pod(s), "containerConcurrency"))),
    ("scale", "production", mutate(service("profile-worker"), lambda s: pod(s).update(containerConcurrency=10))),
    ("scale", "production", mutate(service("profile-worker"), lambda s: drop(annotations(s), SCALE + "target"))),
    *(("scale", "production", mutate(service(name), lambda s: annotations(s).update({SCALE + "metric": "rps"}))) for name in ("explore", "console")),
    *(("scale", "production", mutate(service(name), lambda s: pod(s).update(containerConcurrency=18))) for name in ("explore", "console")),
    ("scale", "production", mutate(service("explore"), lambda s: drop(annotations(s), SCALE + "target"))),
    ("scale", "minimal", mutate(service("allezon"), lambda s: drop(pod(s), "containerConcurrency"))),
    ("resources", "production", mutate(service("sealer"), lambda s: drop(container(s)["resources"]["limits"], "memory"))),
    ("resources", "minimal", mutate(service("allezon"), lambda s: [v.update(emptyDir={}) for v in pod(s)["volumes"] if "emptyDir" in v])),
    ("timeouts", "production", mutate(service("user-tags"), lambda s: pod(s).update(timeoutSeconds=10))),
    *(("timeouts", overlay, mutate(service(name), lambda s: pod(s).update(timeoutSeconds=60)))
      for overlay, name in (("production", "explore"), ("production", "console"), ("minimal", "allezon"))),
    ("timeouts", "production", mutate(service("aggregates"), lambda s: pod(s).update(timeoutSeconds=600))),
    ("timeouts", "production", source(lambda s: s["delivery"].update(timeout="PT60S"))),
    ("variables", "production", mutate(service("aggregates"), lambda s: environment(s, "KAFKA_BROKER", "x"))),
    ("variables", "production", mutate(service("aggregates"), lambda s: container(s)["env"].append(container(s)["env"][0]))),
    ("variables", "production", mutate(service("sealer"),
     lambda s: container(s).update(env=[e for e in container(s)["env"] if e["name"] != "PROFILE_WORKER"]))),
    ("variables", "production", mutate(service("user-tags"),
     lambda s: container(s).update(env=[e for e in container(s)["env"] if e["name"] != "TOPIC"]))),
    ("tls", "production", mutate(service("user-tags"),
     lambda s: container(s).update(env=[e for e in container(s)["env"] if e["name"] != "KAFKA_TLS_KEY"]))),
    ("tls", "production", mutate(service("user-tags"),
     lambda s: pod(s)["volumes"][0]["projected"]["sources"][0]["secret"].update(name="sealer"))),
    ("tls", "production", mutate(service("user-tags"),
     lambda s: pod(s)["volumes"][0]["projected"]["sources"][1]["secret"].update(name="user-tags"))),
    ("tls", "production", lambda w: w.events.remove(w.one("KafkaUser", "sealer"))),
    ("tls", "production", source(lambda s: drop(s, "net"))),
    ("tls", "production", lambda w: w.events.remove(w.one("KafkaUser", "kafka-source"))),
    ("comments", "production", reword("knative/base/user-tags/service.yaml", "        # Sleeps where nobody shops; production keeps two.\n", "")),
    ("comments", "production", reword("eventing/base/topics/names.yaml", "    # For ever: profiles hold numbers.\n", "")),
    ("once", "production", lambda w: w.events.append(w.addresses)),
    ("once", "production", lambda w: w.sources["profile-worker"]["metadata"].update(namespace="kafka")),
    ("kinds", "production", lambda w: w.topics["names"].update(apiVersion="kafka.strimzi.io/v1beta2")),
    ("kinds", "production", add("EventPolicy", "eventing.knative.dev/v1alpha1")),
    ("delivery", "production", source(lambda s: s.update(ordering="ordered"))),
    ("delivery", "production", source(lambda s: drop(s, "ordering"))),
    ("delivery", "production", source(lambda s: drop(s, "initialOffset"))),
    ("delivery", "production", source(lambda s: s.update(consumers=21))),
    ("delivery", "production", source(lambda s: s["sink"]["ref"].update(name="aggregate-worker"))),
    ("delivery", "production", source(lambda s: drop(s["delivery"], "retry"))),
    ("delivery", "production", source(lambda s: drop(s["delivery"], "deadLetterSink"))),
    ("delivery", "production", source(lambda s: drop(s, "delivery"))),
    ("delivery", "production", source(lambda s: s["delivery"].update(backoffPolicy="exponential"))),
    ("delivery", "production", source(lambda s: s["delivery"].update(backoffDelay="PT0S"))),
    ("delivery", "production", source(lambda s: s["delivery"].update(retry=100))),
    ("delivery", "production", source(lambda s: s["delivery"].update(backoffDelay="PT1S"))),
    ("delivery", "production", source(lambda s: s["delivery"].update(timeout="PT600S"))),
    ("delivery", "production", source(lambda s: s["delivery"]["deadLetterSink"]["ref"].update(name="nobody"))),
    ("delivery", "production", lambda w: w.events.remove(w.sources["profile-worker"])),
    ("letters", "production", source(lambda s: s["topics"].append("allezon.dead-letters"))),
    ("letters", "production", lambda w: w.functions.remove(w.services["dead-letters"])),
    ("letters", "production", mutate(service("dead-letters"),
     lambda s: [e.update(value="elsewhere", valueFrom={}) for e in container(s)["env"] if e["name"] == "DEAD_LETTERS"])),
    ("groups", "production", source(lambda s: s.update(consumerGroup="allezon.aggregate-worker"))),
    ("groups", "production", source(lambda s: drop(s, "consumerGroup"))),
    ("groups", "production", mutate(service("sealer"),
     lambda s: [e.update(value="profile-worker,aggregate-worker") for e in container(s)["env"] if e["name"] == "GROUPS"])),
    ("groups", "production", mutate(service("console"),
     lambda s: [e["valueFrom"]["configMapKeyRef"].update(key="PROFILE_WORKER") for e in container(s)["env"] if e["name"] == "AGGREGATE_GROUP"])),
    ("groups", "production", mutate(service("console"),
     lambda s: [e["valueFrom"]["configMapKeyRef"].update(key="NAMES") for e in container(s)["env"] if e["name"] == "TOPIC"])),
    ("rights", "production", acl("console", lambda rules: rules[0]["operations"].append("Read"))),
    ("rights", "production", acl("console", lambda rules: rules.pop(0))),
    ("rights", "production", acl("console", lambda rules: rules.pop(2))),
    ("rights", "production", acl("id-service", lambda rules: rules[0]["operations"].remove("DescribeConfigs"))),
    ("rights", "production", acl("id-service", lambda rules: rules.pop())),
    ("rights", "production", acl("sealer", lambda rules: rules[2]["resource"].update(name="allezon.sealer"))),
    ("rights", "production", acl("sealer", lambda rules: rules.pop(2))),
    ("rights", "production", acl("kafka-source", lambda rules: rules[1]["operations"].remove("Delete"))),
    ("rights", "production", acl("kafka-source", lambda rules: rules.pop(0))),
    ("rights", "minimal", acl("allezon", lambda rules: rules.pop(1))),
    ("names", "trial of production", lambda w: w.addresses["data"].update(USER_TAGS="allezon.user-tags")),
    ("names", "trial of production", lambda w: w.addresses["data"].update(ID_SERVICE_URL="http://id-service.allezon.svc")),
    ("names", "trial of production", source(lambda s: s.update(topics=["allezon.user-tags"]))),
    ("names", "trial of production", topic("names", lambda t: t["spec"].update(topicName="names"))),
    ("names", "trial of production",
     lambda w: w.one("KafkaUser", "sealer")["spec"]["authorization"]["acls"][0]["resource"].update(name="user-tags")),
    ("names", "trial of testbed", lambda w: environment(w.deliverers["profile-deliverer"], "GROUP", "allezon.profile-worker")),
    ("addresses", "production", lambda w: w.addresses["metadata"].update(name="addresses")),
    ("addresses", "production", lambda w: drop(w.addresses["data"], "AEROSPIKE_HOSTS")),
    ("addresses", "production", source(lambda s: s.update(bootstrapServers=["elsewhere:9093"]))),
    ("addresses", "production", mutate(service("aggregates"),
     lambda s: environment(s, "AEROSPIKE_HOSTS", "aerospike.aerospike.svc:3000"))),
    ("addresses", "testbed", lambda w: environment(w.deliverers["profile-deliverer"], "KAFKA_BROKERS", "elsewhere:9092")),
    *(("deliverers", "testbed", lambda w, name=name: environment(w.deliverers["profile-deliverer"], name, "1"))
      for name in ("TOPIC", "GROUP", "SINK", "RETRIES", "PAUSE_MS", "TIMEOUT_MS")),
    ("topics", "production", topic("names", lambda t: t["spec"].update(partitions=4))),
    ("topics", "production", topic("names", lambda t: t["spec"]["config"].update({"retention.ms": 172800000}))),
    ("topics", "production", topic("names", lambda t: t["spec"]["config"].update({"cleanup.policy": "compact"}))),
    ("topics", "production", topic("names", lambda t: drop(t["spec"]["config"], "flush.messages"))),
    ("topics", "production", topic("user-tags", lambda t: t["spec"]["config"].update({"retention.ms": 3600000}))),
    ("topics", "production", topic("user-tags", lambda t: t["spec"].update(replicas=1))),
    ("topics", "production", topic("user-tags", lambda t: drop(t["metadata"], "labels"))),
    ("topics", "production", topic("dead-letters", lambda t: drop(t["spec"]["config"], "max.message.bytes"))),
    ("topics", "production", lambda w: w.events.remove(w.topics["checkpoints"])),
    ("topics", "minimal", topic("user-tags", lambda t: t["spec"]["config"].update({"retention.ms": 172800000}))),
    ("prune", "production", lambda w: drop(w.sources["profile-worker"]["metadata"], "annotations")),
    ("prune", "minimal", topic("names", lambda t: drop(t["metadata"], "annotations"))),
    ("prune", "testbed", lambda w: drop(w.addresses["metadata"], "annotations")),
    ("ticks", "testbed", lambda w: w.events.remove(w.one("PingSource", "sealer"))),
    ("ticks", "production", lambda w: w.one("PingSource", "sealer")["spec"].update(schedule="*/10 * * * * *")),
    ("ticks", "production", lambda w: drop(w.one("PingSource", "sealer")["spec"], "contentType")),
    ("ticks", "production", mutate(service("sealer"), lambda s: drop(annotations(s), SCALE + "window"))),
    ("network", "production", lambda w: w.functions.remove(w.one("NetworkPolicy", "nothing"))),
    ("network", "production", policy("requests", lambda p: p["ingress"].append({"ports": [{"port": 8080}]}))),
    ("network", "production", policy("requests", lambda p: p["ingress"][0]["ports"].append({"port": 8080}))),
    ("network", "production", policy("requests", lambda p: p["ingress"][0]["ports"][0].update(port=80))),
    ("network", "production", policy("kafka", lambda p: p.update(podSelector={}))),
    ("network", "production", policy("kubernetes", lambda p: p.update(podSelector={}))),
    ("network", "production", policy("kubernetes", lambda p: p["egress"][0]["ports"].append({"port": 80}))),
    ("network", "production", policy("looking", lambda p: p["egress"][0].update(to=[{"namespaceSelector": {}}]))),
    ("network", "production", policy("measurements", lambda p: p["ingress"].pop())),
    ("network", "production", policy("measurements", lambda p: p["ingress"][1]["from"].append({"podSelector": {}}))),
    ("network", "production", policy("measurements", lambda p: p["ingress"][1]["ports"].append({"port": 9091}))),
    *(("network", "production", mutate(service("console"), lambda s, need=need: drop(template(s)["metadata"]["labels"], f"egress/{need}")))
      for need in ("kubernetes", "measurements", "kafka")),
    ("network", "production", mutate(service("explore"), lambda s: template(s)["metadata"]["labels"].update({"egress/kubernetes": "allowed"}))),
    ("network", "production", policy("kafka", lambda p: p["egress"][0]["ports"][0].update(port=9092))),
    ("network", "production", mutate(service("user-tags"), lambda s: drop(template(s)["metadata"], "labels"))),
    ("network", "production", mutate(service("user-tags"), lambda s: template(s)["metadata"]["labels"].update({"egress/aerospike": "allowed"}))),
    ("network", "testbed", lambda w: drop(template(w.deliverers["profile-deliverer"])["metadata"]["labels"], "egress/gateway")),
    ("network", "production", lambda w: drop(w.one("Namespace", "allezon")["metadata"]["labels"], "app.kubernetes.io/part-of")),
    ("network", "production", lambda w: w.facts.gateway[0]["spec"]["ingress"][0]["from"].append({"namespaceSelector": {}})),
    ("network", "production", lambda w: w.facts.gateway[0]["spec"]["ingress"][0]["from"][2].pop("podSelector")),
    ("network", "production", lambda w: w.facts.gateway[0]["spec"]["ingress"][0]["from"].pop()),
    ("network", "production", lambda w: w.facts.gateway[0]["spec"]["ingress"][1].pop("ports")),
    ("network", "production", lambda w: w.facts.gateway[0]["spec"]["ingress"].pop(0)),
]


def prove(worlds):
    """Whether each check is silent about what is, and refuses each of its mutations."""
    by_name = {world.name: world for world in worlds}
    failed = [f"{world.name}: {name} refuses what is: {complaint}"
              for world in worlds for name, rule in CHECKS.items() for complaint in rule(world)]
    for number, (name, overlay, change) in enumerate(MUTATIONS):
        world = by_name[overlay].copy()
        change(world)
        if not list(CHECKS[name](world)):
            failed.append(f"mutation {number} of {overlay} passes the check {name}")
    misspelt = by_name["production"].copy().sources["profile-worker"]
    misspelt["spec"]["initialOffsets"] = "earliest"
    if crds.complaints([misspelt]) == []:
        failed.append("a field that no CRD knows passes the validation")
    failed += [f"nothing shows that {name} can fail" for name in CHECKS.keys() - {name for name, _, _ in MUTATIONS}]
    if failed:
        print("\n".join(failed))
    print(f"manifests: {len(MUTATIONS) + len(CHECKS) - len(failed)} passed, {len(failed)} failed")
    return not failed
