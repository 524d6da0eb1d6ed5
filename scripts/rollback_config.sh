#!/bin/sh
exec risk-daemon-admin config rollback "$@"
