#!/bin/bash
# Makes the Python traces again. Needs pythons 3.8, 3.11 and 3.13 (pyenv); run as root, as the paths are /app/...
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$here/..; mkdir -p /app/python; cp "$here"/*.py /app/python; cd /app/python
run() { name=$1; version=$2; shift 2; COLUMNS=80 NO_COLOR=1 ~/.pyenv/versions/$version/bin/python "$@" 2>&1 | sed 's#/root/.pyenv/versions/[0-9.]*#/usr/local#' > "$out/$name.txt"; }
for name in context cause recursion multiline unraised_cause group logged pool; do run $name 3.11.7 /app/python/orders.py $name; done
run statement_3_13 3.13.0 /app/python/orders.py statement
run group_3_13 3.13.0 /app/python/orders.py group
run recursion_3_13 3.13.0 /app/python/orders.py recursion
run cause_3_8 3.8.18 /app/python/orders.py cause
run syntax 3.11.7 /app/python/broken.py
run syntax_import 3.13.0 /app/python/imports_broken.py
rm -rf /app/python
