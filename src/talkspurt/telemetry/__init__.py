"""What operators see: logs and metrics. Nothing here may slow a call down or fail it."""
