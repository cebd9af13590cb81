"""The licences of everything that is linked into the plugin and the companion, as text: licences.py TARGET."""

import json
import pathlib
import subprocess
import sys


def linked(metadata):
    """Packages that end up in the plugin or the companion: their normal dependencies, and those of these."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    released = ("out_sentry", "flb-sentry")
    ours = set(metadata["workspace_members"])
    found, waiting = set(), [p["id"] for p in metadata["packages"] if p["id"] in ours and p["name"] in released]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found - ours


def texts(package):
    """The files in which a package says how it may be used."""
    directory = pathlib.Path(package["manifest_path"]).parent
    names = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")
    files = [file for file in sorted(directory.iterdir()) if file.is_file() and file.name.upper().startswith(names)]
    return [(file.name, file.read_text(errors="replace").strip()) for file in files]


def main(target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    wanted = linked(metadata)
    packages = sorted((p for p in metadata["packages"] if p["id"] in wanted), key=lambda p: (p["name"], p["version"]))
    print("out_sentry and flb-sentry are licensed under Apache-2.0. Linked into them:\n")
    users = {}
    for package in packages:
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its text'}")
        for _, text in texts(package):
            users.setdefault(text, []).append(f"{package['name']} {package['version']}")
    for text, names in users.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n\n{text}")


main(sys.argv[1])
