#!/usr/bin/env bash
# Builds the page from source and compares it byte for byte with dist/.
set -euo pipefail
cd "$(dirname "$0")"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

npm ci --silent
npx vite build --outDir "$out" --emptyOutDir --logLevel warn
if ! diff -rq dist "$out"; then
    echo "dist/ differs from what the source builds: run 'npm run build' and commit dist/" >&2
    exit 1
fi
echo "dist/ is what the source builds"
