"""`check` looks at all overlays; `self-test` shows that each check refuses what it is there to refuse."""
import sys

from . import crds, events, functions, mutations
from .world import CHECKS, Facts, render, worlds

assert events and functions, "they register their checks"


def all_worlds():
    found = list(worlds())
    production = next(world for world in found if world.name == "production")
    # What the deliverers are compared with, and what stands with the platform.
    facts: Facts = production.facts
    facts.sources = production.sources
    facts.gateway = render("knative/gateway")
    return found


def look(found):
    wrong = [f"{world.name}: {name}: {complaint}" for world in found for name, rule in CHECKS.items() for complaint in rule(world)]
    documents = [(world.name, document) for world in found for document in world.all()]
    validated = crds.complaints([document for _, document in documents])
    if validated is None:
        print("manifests: skipped validation against CRDs: ../shared/crds is not there")
    wrong += validated or []
    for name in sorted({name for world in found for name in world.services if Facts.read_by(name) is None}):
        print(f"manifests: skipped the variables of {name}: functions/{name} is not there yet")
    print("\n".join(wrong) or f"manifests: {len(documents)} objects of {len(found)} overlays, {len(CHECKS)} checks, all as meant")
    return not wrong


def main():
    found = all_worlds()
    if sys.argv[1:] == ["self-test"]:
        sys.exit(0 if mutations.prove(found) else 1)
    if sys.argv[1:]:
        sys.exit("usage: .ci/manifests [self-test]")
    sys.exit(0 if look(found) else 1)


main()
