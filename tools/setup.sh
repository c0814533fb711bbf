#!/bin/sh
# Brings a bare checkout to the point where the other commands work: dependencies (with them the pinned Node) and the
# bundled programs. Cheap when there is nothing to do. Run by `npm start`, `npm test` and `npm run bench`.
set -eu
cd "$(dirname "$0")/.."
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing dependencies" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
PATH="$PWD/node_modules/.bin:$PATH"
node tools/build.ts >&2
