#!/bin/sh
# Writes the texts of GCC's C++ runtime and sanitizer beside this directory.
set -e
cd "$(dirname "$0")"
g++ -g -O0 shelf.cc -o /tmp/shelf
g++ -g -O0 -fsanitize=address shelf.cc -o /tmp/shelf_sanitized
for what in throw lines int none; do /tmp/shelf $what 2> ../terminate_$what.txt || true; done
for what in free over; do /tmp/shelf_sanitized $what 2> ../sanitizer_$what.txt || true; done
