risk-daemon-admin deploy stop @args
exit $LASTEXITCODE
