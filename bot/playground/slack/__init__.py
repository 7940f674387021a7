"""A local Slack: Web API, Socket Mode and response_urls over real sockets, as strict as the real one."""
