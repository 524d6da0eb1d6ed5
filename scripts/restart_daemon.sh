#!/bin/sh
exec risk-daemon-admin restart "$@"
