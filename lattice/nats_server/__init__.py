"""The real nats-server, configured and run as a child: for `--nats embedded`, for drills, for examples."""
