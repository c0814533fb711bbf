#!/bin/sh
# Brings a bare checkout to the point where a command works: the dependencies (with them the pinned Node) and, unless only
# `dependencies` are asked for, the bundled programs. Cheap when there is nothing to do. Every npm script begins with it.
set -eu
cd "$(dirname "$0")/.."
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing dependencies" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
[ "${1-}" = dependencies ] && exit 0
PATH="$PWD/node_modules/.bin:$PATH"
node tools/build.ts >&2
