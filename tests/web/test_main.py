"""Server settings derived from the configuration."""

from web.config import Config
from web.main import server_settings


def test_websockets_have_the_limits_of_requests() -> None:
    config = Config.model_validate({"limits": {"body_bytes": 4711}, "turns": {"heartbeat_s": 7}})
    settings = server_settings(config)
    assert settings.websocket_message_bytes == 4711
    assert settings.websocket_ping_s == 7
