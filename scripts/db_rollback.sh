#!/bin/sh
exec risk-daemon-admin db rollback "$@"
