risk-daemon-admin rollback --all @args
exit $LASTEXITCODE
