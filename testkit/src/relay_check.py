"""Answers, line by line, what Sentry's own event normaliser and its attribute conventions say.

{"event": {...}}       -> {"meta": [[path, remark]], "errors": [...], "dropped": [key], "rejected": text or null}
{"attributes": {...}}  -> {"problems": [text]}
"""

import json
import sys

from sentry_conventions.attributes import ATTRIBUTE_METADATA
from sentry_relay.exceptions import RelayError
from sentry_relay.processing import StoreNormalizer

# What Sentry itself sets for error events; ages and futures as its documents state them.
NORMALIZER = StoreNormalizer(
    json_dumps=json.dumps,
    project_id=1,
    client="flb-sentry-tests/1",
    key_id="1",
    protocol_version="7",
    is_renormalize=False,
    remove_other=True,
    max_secs_in_future=60,
    max_secs_in_past=30 * 24 * 3600,
    enable_trimming=True,
    normalize_nel_reports=False,
)

# Relay moves it to a tag: it is not lost.
MOVED = {"server_name"}


def remarks(meta, path=""):
    """Relay's remarks mirror the event: the key "" holds what is said about the value itself."""
    for key, value in meta.items():
        if key == "":
            yield path or "$", value
        elif isinstance(value, dict):
            yield from remarks(value, f"{path}.{key}" if path else key)


def check_event(event):
    try:
        out = NORMALIZER.normalize_event(event)
    except RelayError as error:
        rejected = f"{type(error).__name__}: {error}"
        return {"meta": [], "errors": [], "dropped": [], "rejected": rejected}
    return {
        "meta": list(remarks(out.get("_meta") or {})),
        "errors": out.get("errors") or [],
        "dropped": [key for key in event if key not in out and key not in MOVED],
        "rejected": None,
    }


def check_attributes(attributes):
    problems = []
    for name, attribute in attributes.items():
        known = ATTRIBUTE_METADATA.get(name)
        if known is None:
            continue
        wanted = known.type.value
        if attribute.get("type") != wanted:
            problems.append(f"{name}: expected {wanted}, found {attribute.get('type')}")
        if known.deprecation is not None:
            problems.append(f"{name} is deprecated, use {known.deprecation.replacement}")
    return {"problems": problems}


for line in sys.stdin:
    request = json.loads(line)
    answer = check_event(request["event"]) if "event" in request else check_attributes(request["attributes"])
    print(json.dumps(answer), flush=True)
