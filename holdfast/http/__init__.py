"""The gateway's twin over HTTP: REST, streams of events, and an OpenAPI document; ``[http]``."""
