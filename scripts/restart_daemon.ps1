risk-daemon-admin restart @args
exit $LASTEXITCODE
