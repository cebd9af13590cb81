#!/bin/sh
# Writes the texts of Carp beside this directory.
cd "$(dirname "$0")"
perl shop.pl confess 2> ../confess.txt
perl shop.pl eval 2> ../logged.txt
