#!/bin/sh
exec risk-daemon-admin rollback --all "$@"
