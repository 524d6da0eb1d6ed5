risk-daemon-admin db rollback @args
exit $LASTEXITCODE
