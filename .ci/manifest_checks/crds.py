"""Validation against the CRDs of the clusters we are made for. They are not part of this repository."""
import importlib.util

from .world import ROOT


def complaints(documents):
    """None where there are no CRDs; else what is wrong with the objects."""
    tool = ROOT.parent / "shared/tools/validate_manifests.py"
    if not tool.is_file():
        return None
    spec = importlib.util.spec_from_file_location("validate_manifests", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schemas = module.load_crds(tool.parents[1] / "crds")
    found = []
    for document in documents:
        verdict, reasons = module.check(document, schemas)
        if verdict in ("FAIL", "NOCRD"):
            found.append(f"{document['kind']} {document['metadata']['name']}: {'; '.join(reasons) or 'there is no such CRD'}")
    return found
