"""The page that shows the flow in a browser, and the command that sets up the example."""
