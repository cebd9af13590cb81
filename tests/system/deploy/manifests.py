"""Strict validation of manifests: manifests.py [--crds DIR] [--values FILE] FILE...

Prints a line for each object, with the schema it was held against, and ends with 1 if one has a field or a value that its
schema does not know. Kubernetes' own kinds are held against the schemas of kubernetes_validate; others against the
definitions in DIR, which is not part of this repository.
"""

import argparse
import copy
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.32"

# Names in values.yaml of https://github.com/fluent/helm-charts, charts/fluent-bit 0.58.1: those whose content Kubernetes
# defines, and those with names of the chart's own.
CHART_VALUES = set(
    """
    affinity annotations args command daemonSetVolumeMounts daemonSetVolumes dnsConfig dnsPolicy env envFrom envWithTpl
    existingConfigMap extraContainers extraPorts extraVolumeMounts extraVolumes flush fullnameOverride hostAliases hostNetwork
    imagePullSecrets initContainers kind labels lifecycle livenessProbe logLevel luaScripts metricsPort minReadySeconds
    nameOverride nodeSelector podAnnotations podLabels podSecurityContext priorityClassName readinessProbe replicaCount
    resources securityContext terminationGracePeriodSeconds tolerations updateStrategy volumeMounts
    """.split()
)
CHART_SECTIONS = {
    "config": "service inputs filters outputs upstream customParsers extraFiles".split(),
    "hotReload": "enabled image resources extraWatchVolumes securityContext".split(),
    "image": "repository tag digest pullPolicy".split(),
    "rbac": "create nodeAccess eventsAccess".split(),
    "serviceAccount": "create annotations name automountServiceAccountToken".split(),
    "serviceMonitor": """enabled namespace interval scrapeTimeout selector metricRelabelings relabelings scheme tlsConfig
        additionalEndpoints path""".split(),
    "testFramework": "enabled namespace image".split(),
}


def strict(schema):
    """The schema with every unknown field refused, where it does not allow them by itself."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not open_ended:
        schema["additionalProperties"] = False
    return schema


def definitions(directory):
    """Group, version and kind of each definition in a directory, and its schema."""
    found = {}
    for file in sorted(pathlib.Path(directory).glob("*.yaml")):
        for crd in yaml.safe_load_all(file.read_text()):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
                schema = strict(schema)
                schema["properties"].update(metadata={"type": "object"}, apiVersion={}, kind={})
                api = f"{crd['spec']['group']}/{version['name']}"
                found[api, crd["spec"]["names"]["kind"]] = schema
    return found


def problems(manifest, crds):
    """What is wrong with it, and what says so; None for the latter where nothing here can say."""
    kind = manifest["apiVersion"], manifest["kind"]
    if kind in crds:
        errors = jsonschema.Draft7Validator(crds[kind]).iter_errors(manifest)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors], "its definition"
    if "." in kind[0].partition("/")[0] and not kind[0].partition("/")[0].endswith(".k8s.io"):
        return [], None
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"], f"Kubernetes {KUBERNETES}"
    return [], f"Kubernetes {KUBERNETES}"


def unknown_values(values):
    """Names that charts/fluent-bit 0.58 does not read. Helm ignores them, so a misspelled one has no effect."""
    sections = {name: CHART_SECTIONS.get(name) for name in values}
    unknown = [name for name in values if name not in CHART_VALUES and name not in CHART_SECTIONS]
    for name, known in sections.items():
        unknown += [f"{name}.{key}" for key in values[name] if key not in known] if known else []
    return unknown


def of_chart(file):
    """What the official chart makes of its values, as far as they are pieces of a pod."""
    values = yaml.safe_load(file.read_text())
    if unknown := unknown_values(values):
        raise SystemExit(f"{file}: the chart does not read {', '.join(unknown)}")
    volumes = [{"name": "config", "configMap": {"name": "fluent-bit"}}] + values["extraVolumes"]
    mounts = [{"name": "config", "mountPath": "/fluent-bit/etc/conf"}] + values["extraVolumeMounts"]
    container = {"name": "fluent-bit", "image": "fluent-bit", "volumeMounts": mounts}
    container |= {key: values[key] for key in ("resources", "securityContext")}
    keys = ("initContainers", "tolerations", "terminationGracePeriodSeconds", "priorityClassName")
    spec = {key: values[key] for key in keys}
    spec |= {"containers": [container], "volumes": volumes, "securityContext": values["podSecurityContext"]}
    template = {"metadata": {"labels": {"app": "fluent-bit"}}, "spec": spec}
    known = {volume["name"] for volume in volumes}
    for part in [container, *values["initContainers"]]:
        unknown = {mount["name"] for mount in part["volumeMounts"]} - known
        if unknown:
            raise SystemExit(f"{file}: {part['name']} mounts volumes that are not there: {unknown}")
    return {
        "apiVersion": "apps/v1",
        "kind": values["kind"],
        "metadata": {"name": "of-the-chart"},
        "spec": {"selector": {"matchLabels": {"app": "fluent-bit"}}, "template": template},
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--crds")
    arguments.add_argument("--values", type=pathlib.Path)
    arguments.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = arguments.parse_args()
    crds = definitions(arguments.crds) if arguments.crds else {}
    manifests = [(file, one) for file in arguments.files for one in yaml.safe_load_all(file.read_text()) if one]
    if arguments.values:
        manifests.append((arguments.values, of_chart(arguments.values)))
    failed = False
    for file, manifest in manifests:
        name = f"{file}: {manifest['kind']} {manifest.get('metadata', {}).get('name')}"
        found, by = problems(manifest, crds)
        failed |= bool(found)
        for problem in found:
            print(f"{name}: {problem}")
        if not found:
            print(f"{name}: sound, says {by}" if by else f"{name}: not validated")
    sys.exit(failed)


main()
