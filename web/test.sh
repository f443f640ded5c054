#!/usr/bin/env bash
# Runs all tests of the page: types and lints, unit tests, the build, and the page in Chromium.
# KIPFIX_WEB_URL=http://localhost:8080/ tests the page of a collector instead of dist/ with made-up
# data. KIPFIX_WEB_SCREENSHOTS names the folder for the screenshots.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v npm >/dev/null; then
    echo "npm is not installed: the page needs Node.js 20.19 or later" >&2
    exit 1
fi
if [ -z "${CHROMIUM:-}" ] && [ ! -x /usr/bin/chromium ]; then
    echo "== installing Chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium fonts-inter >/dev/null
fi

echo "== dist/"
./check.sh
echo "== types and lints"
npm run --silent check
echo "== unit tests"
npm run --silent unit
echo "== the page in Chromium"
npm run --silent e2e
