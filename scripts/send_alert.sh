#!/bin/sh
exec risk-daemon-admin alert send "$@"
