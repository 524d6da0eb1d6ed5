#!/bin/sh
exec risk-daemon-admin deploy canary "$@"
