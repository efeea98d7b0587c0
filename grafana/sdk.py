"""The SDK's builders of classic dashboards, imported in one place: it warns of them, and we want them.

The classic form is what Grafana documents for provisioning from files; the SDK prefers a newer one that needs
a feature of its own to be read from a file.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import common as commons
    from grafana_foundation_sdk.builders import dashboard as boards
    from grafana_foundation_sdk.builders import prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common, dashboard, units

__all__ = ["JSONEncoder", "boards", "common", "commons", "dashboard", "prometheus", "stat", "timeseries", "units"]
