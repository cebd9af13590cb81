#!/bin/bash
# Makes the Go traces again. Needs go 1.19 and golang-github-pkg-errors-dev; run as root, as the paths are /app/...
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$(cd "$here/.." && pwd); errors=/go/pkg/mod/github.com/pkg/errors@v0.9.1
mkdir -p /app/shop $errors; cp "$here"/*.go "$here"/go.mod /app/shop; cd /app/shop
cp /usr/share/gocode/src/github.com/pkg/errors/*.go $errors; rm -f $errors/*_test.go
echo 'module github.com/pkg/errors' > $errors/go.mod; echo "replace github.com/pkg/errors => $errors" >> go.mod
GOFLAGS=-mod=mod go build -gcflags=all=-l -o shop . || exit 1
go build -gcflags=all=-l -o locked deadlock.go || exit 1
clean() { sed 's#/usr/lib/go-1.19/#/usr/local/go/#'; }
mkdir -p third_party; cp -r "$here"/third_party/courier third_party; go build -gcflags=all=-l -o warehouse warehouse.go || exit 1
for name in divide assertion closed third_party; do ./warehouse $name 2>&1 | clean > "$out/$name.txt"; done
./locked 2>&1 | clean > "$out/deadlock.txt"
for name in index nil repanic value serve stack overflow wrapped map; do timeout 20 ./shop $name 2>&1 | clean > "$out/$name.txt"; done
GOTRACEBACK=all ./shop nil 2>&1 | clean > "$out/all_goroutines.txt"
GOTRACEBACK=system ./shop index 2>&1 | clean > "$out/system.txt"
timeout -s QUIT 1 ./shop listen 2>&1 | clean > "$out/quit.txt"
rm -rf /app/shop /go/pkg/mod/github.com
