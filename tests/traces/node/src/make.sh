#!/bin/bash
# Makes the traces again: V8 by node 20, SpiderMonkey by gjs 1.74.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$here/..; mkdir -p /app/node; cp "$here"/*js /app/node; cd /app/node
for name in uncaught rejected cause aggregate all assertion evaluated emitter json file nothing multiline common prefixed; do node /app/node/server.mjs $name > "$out/$name.txt" 2>&1; done
node /app/node/server.mjs thrown > "$out/../none/node_thrown_string.txt" 2>&1
node /app/node/legacy.js > "$out/legacy.txt" 2>&1
mkdir -p /srv/web; cp "$here/browser.js" /srv/web
for name in render checkout evaluated; do gjs /srv/web/browser.js $name > "$out/spidermonkey_$name.txt" 2>&1; done
rm -rf /app/node /srv/web
