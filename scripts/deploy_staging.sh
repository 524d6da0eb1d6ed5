#!/bin/sh
exec risk-daemon-admin deploy staging "$@"
