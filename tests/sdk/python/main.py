"""Raises what its argument names, prints the traceback to stderr, and what Sentry's SDK makes of it to stdout."""

import json
import sys
import traceback

import sentry_sdk

from shop import cases


class Printed(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            print(json.dumps({"platform": event["platform"], "exception": event["exception"]}))


sentry_sdk.init(
    "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1", transport=Printed, default_integrations=False
)
try:
    getattr(cases, sys.argv[1])()
except BaseException as error:
    traceback.print_exc()
    sentry_sdk.capture_exception(error)
