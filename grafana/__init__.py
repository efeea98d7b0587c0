"""What is watched: the dashboard, Prometheus' configuration and rules, and the pages that an alert leads to."""
