risk-daemon-admin deploy canary @args
exit $LASTEXITCODE
