risk-daemon-admin deploy staging @args
exit $LASTEXITCODE
