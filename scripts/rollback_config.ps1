risk-daemon-admin config rollback @args
exit $LASTEXITCODE
