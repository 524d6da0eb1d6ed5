risk-daemon-admin alert send @args
exit $LASTEXITCODE
