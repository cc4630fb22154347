"""What the configuration means to the server."""

from web.config import Config
from web.edge import server_settings


def test_websockets_are_held_to_the_same_limits_as_requests() -> None:
    config = Config.model_validate({"limits": {"body_bytes": 4711}, "turns": {"heartbeat_s": 7}})
    settings = server_settings(config)
    assert settings.websocket_message_bytes == 4711
    assert settings.websocket_ping_s == 7
