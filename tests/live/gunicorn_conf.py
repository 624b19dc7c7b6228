"""Settings of gunicorn for servers of tests. It ignores names that its version doesn't know."""

# Seconds. A worker that gets no CPU for a while is not ended for it.
timeout = 300

# Seconds. A connection that a test has not used for a while is still open: one that is closed just
# as a request is sent on it takes the request with it.
keepalive = 120

# A server's end would wait for the thread that listens there.
control_socket_disable = True
