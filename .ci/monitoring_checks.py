"""Do alerts come and go, does each say what to do, and does every expression speak of figures that there are?"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
MONITORING = ROOT / "cluster/platform/monitoring"
OPERATE = (ROOT / "docs/operate.md").read_text()
# What stands in an expression and is no figure.
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool",
         "sum", "min", "max", "avg", "count"}
# A Counter's or Histogram's name in Prometheus ends with more than it says itself.
ENDINGS = re.compile(r"(_seconds|_bytes)?(_total|_bucket|_count|_sum)?$")

passed = 0
failed = []


def check(what, wrong):
    """`wrong`: what is not as it should be; nothing if all is."""
    global passed
    if wrong:
        failed.append(what)
        print(f"monitoring: FAILED: {what}: " + "; ".join(map(str, wrong)))
    else:
        passed += 1


def figures(expression):
    """The names of figures in it."""
    text = re.sub(r'"[^"]*"|#[^\n]*', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\$\w+", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r"\1 ", text)
    return {word for word in re.findall(r"(?<![\w.])([a-zA-Z_]\w*)\b(?!\s*\()", text) if word not in WORDS}


def listed():
    """Of docs/operate.md: each figure of ours, and whether it is still to come."""
    ours = r"`((?:allezon|http)_\w+)`"
    table = OPERATE.split("## What the figures answer")[1].split("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|") and "`" in line]
    return {name: "(to come)" in row[2] for row in rows for name in re.findall(ours, row[2])}


def in_the_code():
    """The names of our figures as the code says them."""
    sources = [p.read_text() for p in (ROOT / "functions").glob("**/src/**/*.rs")]
    return {name for text in sources for name in re.findall(r'"(allezon\.[a-z._]+|http\.server\.[a-z._]+)"', text)}


def plain(name):
    return ENDINGS.sub("", name).replace(".", "_")


def the_list(ours):
    code = {plain(name) for name in in_the_code()}
    names = {plain(name): to_come for name, to_come in ours.items()}
    check("figures in the code that docs/operate.md does not list", sorted(code - set(names)))
    check("figures in docs/operate.md that the code does not have", sorted(n for n, to_come in names.items() if not to_come and n not in code))
    check("figures that have come: take `(to come)` away", sorted(n for n, to_come in names.items() if to_come and n in code))


def rules():
    """Each file of rules with its tests: by name."""
    found = {}
    for tests in sorted(MONITORING.rglob("*.test.yaml")):
        path = tests.with_name(tests.name.replace(".test", ""))
        rule = yaml.safe_load(path.read_text())
        found[rule["metadata"]["name"]] = (rule["spec"], tests.read_text())
    kinds = [p for p in MONITORING.rglob("*.yaml") if "kind: PrometheusRule" in p.read_text()]
    check("rules without a test", [] if len(kinds) == len(found) else [str(p.relative_to(ROOT)) for p in kinds])
    return found


def alerts(found):
    return [rule for spec, _ in found.values() for group in spec["groups"] for rule in group["rules"]]


def runbooks(found):
    headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", OPERATE, re.M)}
    wrong = []
    for alert in alerts(found):
        name, notes = alert["alert"], alert["annotations"]
        if notes.get("runbook") != f"docs/operate.md#{name.lower()}" or name.lower() not in headings:
            wrong.append(f"{name} has no section")
        if not notes.get("summary") or not notes.get("description"):
            wrong.append(f"{name} says nothing")
        if alert["labels"].get("severity") not in ("page", "notice") and name != "Watchdog":
            wrong.append(f"{name} is neither page nor notice")
    check("each alert says what to do", wrong)
    named = {alert["alert"] for alert in alerts(found)}
    sections = re.findall(r"^## ([A-Z]\w+[A-Z]\w+|Watchdog)$", OPERATE.split("\n# Alerts")[1].split("\n# ")[0], re.M)
    check("sections of alerts that there are not", sorted(set(sections) - named))


def come_and_go(found):
    """Each alert is seen firing, and seen not firing after that. Without annotations: what they say is tried by promtool's check."""
    wrong = []
    for spec, tests in found.values():
        cases = [case for test in yaml.safe_load(tests)["tests"] for case in test["alert_rule_test"]]
        for name in [rule["alert"] for group in spec["groups"] for rule in group["rules"]]:
            fires = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == name]
            if not (True in fires and False in fires[fires.index(True):]) and name != "Watchdog":
                wrong.append(name)
    check("alerts that no test sees come and go", wrong)


def dashboards():
    found = {}
    for path in sorted(MONITORING.rglob("*.json")):
        found[path.stem] = json.loads(path.read_text())
    return found


def panels(found):
    wrong, ids = [], []
    for name, board in found.items():
        ids.append(board["uid"])
        for panel in board["panels"]:
            where = f"{name}: {panel.get('title')}"
            if panel["type"] == "row":
                continue
            if not panel.get("title") or not panel.get("description"):
                wrong.append(f"{where} has no title or description")
            if not panel["fieldConfig"]["defaults"].get("unit"):
                wrong.append(f"{where} has no unit")
            if not panel.get("targets"):
                wrong.append(f"{where} shows nothing")
    check("panels have a title, a description and a unit", wrong)
    check("dashboards have names of their own", [] if len(set(ids)) == len(ids) and all(ids) else ids)
    shown = [f for f in (MONITORING / "base/grafana/kustomization.yaml", MONITORING / "aerospike/kustomization.yaml")]
    files = " ".join(f.read_text() for f in shown)
    check("dashboards that no ConfigMap holds", [n for n in found if f"{n}.json" not in files])


def expressions(found, boards):
    """Where it stands, and what it is."""
    for alert in alerts(found):
        yield alert["alert"], alert["expr"]
    for name, board in boards.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", target["expr"]
        for variable in board.get("templating", {}).get("list", []):
            yield f"{name}: {variable['name']}", re.sub(r"^label_values\((.*), \w+\)$", r"\1", variable["query"])


def names(ours, everything):
    others = {line for line in (MONITORING / "exporters.txt").read_text().splitlines() if line and not line.startswith("#")}
    # A histogram is listed once.
    known = set(ours) | others | {f"{name}{end}" for name in ours for end in ("_bucket", "_count", "_sum")}
    used = {name for _, text in everything for name in figures(text)}
    check("figures that nobody tells", [f"{where}: {n}" for where, text in everything for n in sorted(figures(text) - known)])
    check("figures of exporters.txt that nobody uses", sorted(others - used))
    check("expressions without a figure", [where for where, text in everything if not figures(text) and where != "Watchdog"])
    kept = [rule["regex"] for path in MONITORING.rglob("monitor*/*.yaml") for end in endpoints(path)
            for rule in end.get("metricRelabelings", []) if rule["action"] == "keep"]
    families = ("envoy_", "kafka_", "container_", "kubelet_", "certmanager_")
    check("figures that monitors/ drops", sorted(n for n in others if n.startswith(families) and not any(re.fullmatch(r, n) for r in kept)))


def endpoints(path):
    spec = yaml.safe_load(path.read_text()).get("spec", {})
    return spec.get("podMetricsEndpoints", []) + spec.get("endpoints", [])


def lacks(program, package):
    """Where there is no Debian; CI has to have it."""
    if shutil.which(program):
        return False
    if os.environ.get("CI"):
        check(f"{program} is here", [f"Debian's package {package} has it"])
    print(f"monitoring: skipped {program}: it is not here (Debian's package {package} has it)")
    return True


def promtool(found, everything):
    if lacks("promtool", "prometheus"):
        return
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        for name, (spec, tests) in found.items():
            (place / f"{name}.full.yaml").write_text(yaml.safe_dump(spec))
            for group in spec["groups"]:
                for rule in group["rules"]:
                    rule.pop("annotations")
            (place / f"{name}.rules.yaml").write_text(yaml.safe_dump(spec))
            (place / f"{name}.test.yaml").write_text(tests)
        # Whether Prometheus can read what the dashboards ask.
        asked = [{"record": f"asked:{n}", "expr": re.sub(r"\$__\w+", "5m", text)} for n, (_, text) in enumerate(everything)]
        (place / "dashboards.full.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": asked}]}))
        run("rules and dashboards can be read", ["promtool", "check", "rules", *sorted(map(str, place.glob("*.full.yaml")))], folder)
        run("alerts come and go", ["promtool", "test", "rules", *sorted(map(str, place.glob("*.test.yaml")))], folder)


def run(what, command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    check(what, [] if done.returncode == 0 else [(done.stdout + done.stderr)[-1500:]])


def snake(value):
    """As Alertmanager's own file has it: what the operator makes of an AlertmanagerConfig."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    if {"name", "value"} <= set(value):
        return f'{value["name"]}{value.get("matchType", "=")}"{value["value"]}"'
    if "urlSecret" in value:
        value = {**{k: v for k, v in value.items() if k != "urlSecret"}, "url": f"http://127.0.0.1/{value['urlSecret']['key']}"}
    return {re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), key): snake(each) for key, each in value.items()}


def routes():
    spec = snake(yaml.safe_load((MONITORING / "base/alertmanager/routes.yaml").read_text())["spec"])
    for rule in spec["inhibit_rules"]:
        rule.update(source_matchers=rule.pop("source_match"), target_matchers=rule.pop("target_match"))
    text = yaml.safe_dump(spec)
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).write_text(text)
    if lacks("amtool", "prometheus-alertmanager"):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        run("Alertmanager can read its routes", ["amtool", "check-config", file.name], "/")
        for labels, receiver in (("alertname=KafkaDown severity=page", "people"), ("alertname=DeadLetters severity=notice", "people"),
                                 ("alertname=Watchdog severity=none", "watchdog")):
            run(f"{labels} goes to {receiver}",
                ["amtool", "config", "routes", "test", f"--config.file={file.name}", f"--verify.receivers={receiver}", *labels.split()], "/")


def main():
    ours, found, boards = listed(), rules(), dashboards()
    everything = list(expressions(found, boards))
    the_list(ours)
    runbooks(found)
    come_and_go(found)
    panels(boards)
    names(ours, everything)
    promtool(found, everything)
    routes()
    print(f"monitoring: {passed} passed, {len(failed)} failed; {len(alerts(found))} alerts, {len(boards)} dashboards, {len(everything)} expressions")
    sys.exit(1 if failed else 0)


main()
