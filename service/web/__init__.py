"""The plain HTTP routes: health, metrics, schemas, and the guard before every route."""
