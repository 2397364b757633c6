"""The HTTP application: webhooks and health. Media sockets are beside it (`upgrade`), on the same port."""

from fastapi import FastAPI

from talkspurt.server.handover.webhooks import HandoverWebhooks
from talkspurt.server.health import Metrics, Readiness, health_routes
from talkspurt.server.limits import RateLimits
from talkspurt.server.webhooks import TwilioWebhooks


def create_app(
    webhooks: TwilioWebhooks, handovers: HandoverWebhooks, readiness: Readiness, limits: RateLimits, metrics: Metrics
) -> FastAPI:
    """The application. It publishes no API description: all there is to call is Twilio's."""
    app = FastAPI(title="talkspurt", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(webhooks.routes())
    app.include_router(handovers.routes())
    app.include_router(health_routes(readiness, limits, metrics))
    return app
