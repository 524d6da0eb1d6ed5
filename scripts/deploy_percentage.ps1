risk-daemon-admin deploy percentage @args
exit $LASTEXITCODE
