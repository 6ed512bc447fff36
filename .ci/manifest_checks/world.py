"""What is looked at: an overlay of both trees, rendered, and what the repository says about it elsewhere."""
import copy
import pathlib
import re
import shutil
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

SERVING, SOURCES, STRIMZI = "serving.knative.dev", "sources.knative.dev", "kafka.strimzi.io"
CHECKS = {}


def check(function):
    """Makes a check of a function from a world to complaints; its name is the check's."""
    CHECKS[function.__name__] = function
    return function


class Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Keeps dates as text, as Kubernetes does."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in Loader.yaml_implicit_resolvers.items()
}


def render(folder):
    """The objects of a kustomization."""
    tool = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    done = subprocess.run([*tool, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{folder} cannot be rendered: {done.stderr.strip()}")
    return [document for document in yaml.load_all(done.stdout, Loader) if document]


class World:
    """An overlay of knative/ with the one of eventing/ that belongs to it."""

    def __init__(self, name, functions, events, facts, namespace="allezon"):
        self.name, self.functions, self.events, self.facts, self.namespace = name, functions, events, facts, namespace

    def copy(self):
        return copy.deepcopy(self)

    def all(self, kind=None, group=""):
        """Objects of a kind, of both trees; the group tells Knative's Services from Kubernetes'."""
        return [o for o in self.functions + self.events
                if kind in (None, o["kind"]) and o["apiVersion"].startswith(group)]

    def one(self, kind, name, group=""):
        return next((o for o in self.all(kind, group) if o["metadata"]["name"] == name), None)

    @property
    def services(self):
        return {o["metadata"]["name"]: o for o in self.all("Service", SERVING)}

    @property
    def sources(self):
        return {o["metadata"]["name"]: o for o in self.all("KafkaSource", SOURCES)}

    @property
    def deliverers(self):
        return {o["metadata"]["name"]: o for o in self.all("Deployment", "apps/")}

    @property
    def jobs(self):
        return {o["metadata"]["name"]: o for o in self.all("CronJob", "batch/")}

    def program(self, name):
        """Which program a workload is, where it is called otherwise."""
        return "deliverer" if name in self.deliverers else {"rebuild": "replay", "replay-dead-letters": "dead-letters"}.get(name, name)

    @property
    def topics(self):
        return {o["spec"]["topicName"].split(".", 1)[-1]: o for o in self.all("KafkaTopic", STRIMZI)}

    @property
    def addresses(self):
        """The ConfigMap `addresses`, whose name ends with a hash."""
        return next(o for o in self.functions if o["kind"] == "ConfigMap" and o["metadata"]["name"].startswith("addresses"))

    @property
    def workloads(self):
        """Whatever makes pods."""
        return {**self.services, **self.deliverers, **self.jobs}

    def variables(self, workload):
        """Names to values, as the program will see them; None where a key is missing and may be."""
        data, found = self.addresses["data"], {}
        for entry in pod(workload)["containers"][0].get("env", []):
            reference = entry.get("valueFrom", {}).get("configMapKeyRef")
            found[entry["name"]] = data.get(reference["key"]) if reference else entry.get("value", "")
        found.update({name: self.namespace for name in found if name == "NAMESPACE"})
        replaced = {}
        for name, value in found.items():
            replaced[name] = value and re.sub(r"\$\((\w+)\)", lambda m: found.get(m.group(1)) or "", value)
        return replaced


def template(workload):
    return workload["spec"].get("jobTemplate", workload)["spec"]["template"]


def pod(workload):
    return template(workload)["spec"]


def container(workload):
    return pod(workload)["containers"][0]


def annotations(service):
    return template(service)["metadata"].get("annotations", {})


def seconds(duration):
    """Of an ISO 8601 duration such as PT0.1S."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", str(duration))
    return sum(float(n or 0) * unit for n, unit in zip(found.groups(), (3600, 60, 1))) if found else None


class Facts:
    """What the repository says elsewhere."""

    def __init__(self):
        cargo = (ROOT / "Cargo.toml").read_text()
        self.version = re.search(r'^version = "(.*?)"', cargo, re.M).group(1)
        self.topics = dict(self._topics())
        self.files = {str(path.relative_to(ROOT)): path.read_text()
                      for tree in ("knative", "eventing") for path in sorted((ROOT / tree).rglob("*.yaml"))}

    @staticmethod
    def _topics():
        for line in (ROOT / "cluster/local/kafka/topics").read_text().splitlines():
            if line and not line.startswith("#"):
                name, partitions, *config = line.split()
                yield name, (int(partitions), dict(pair.split("=", 1) for pair in config))

    @staticmethod
    def read_by(program):
        """The environment variables that a program reads, its own and those of the rooms it stands on; None if it is not written yet."""
        home = ROOT / "functions" / {"allezon": "embedded"}.get(program, program)
        if not home.is_dir():
            return None
        depends = re.findall(r"^([a-z-]+)\b", (home / "Cargo.toml").read_text(), re.M)
        rooms = [home] + [room for room in (ROOT / "functions/shared").iterdir() if room.name in depends]
        texts = (path.read_text() for room in rooms for path in (room / "src").rglob("*.rs"))
        return {name for text in texts for name in re.findall(r'\benv = "(\w+)"', text)}


def worlds():
    """All overlays; and production and test bed once more in a namespace of their own."""
    facts = Facts()
    for name in ("production", "minimal", "testbed", "testbed/minimal"):
        # The topics of the test bed's minimal are made by cluster/local/kafka, and nothing else is needed there.
        events = render(f"eventing/overlays/{name}") if name != "testbed/minimal" else []
        yield World(name, render(f"knative/overlays/{name}"), events, facts)
    for name, more in (("production", []), ("testbed", ["deliverer"])):
        yield World(f"trial of {name}", *trial(name, more), facts, namespace="trial")


def trial(name, more):
    """Both trees in another namespace, by an overlay on top, as the READMEs say."""
    folder = ROOT / "target" / "manifests" / name
    up = "../../../../"
    overlays = {
        "functions": {"resources": [f"{up}knative/overlays/{name}"], "transformers": [f"{up}knative/names"]},
        "events": {"components": [f"{up}eventing/overlays/{name}/parts"],
                   "transformers": [f"{up}knative/names", f"{up}eventing/names"] + [f"{up}eventing/{m}/names" for m in more]},
    }
    for tree, overlay in overlays.items():
        (folder / tree).mkdir(parents=True, exist_ok=True)
        (folder / tree / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": "trial", **overlay}))
    return [render((folder / tree).relative_to(ROOT)) for tree in overlays]
