#!/bin/sh
# Playwright's own Node.js, keeping what it compiles of the driver: that is a third of the driver's start, and the
# suite starts hundreds. conftest.py names this file to Playwright, which passes the driver's cli.js.
NODE_COMPILE_CACHE=${0%/*}/../.pytest_cache/node exec "${1%/package/cli.js}/node" --min-semi-space-size=32 "$@"
