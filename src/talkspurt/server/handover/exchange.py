"""The exchange that the configuration allows: Twilio's, or none when its REST interface may not be used."""

from talkspurt.config import Config
from talkspurt.ports import Exchange, Leg, NoExchange
from talkspurt.server.handover.documents import about
from talkspurt.server.handover.targets import carrier_kinds
from talkspurt.server.origin import LEG, LEG_MACHINE, LEG_STATUS, RESUME, Origin


def create_exchange(config: Config, origin: Origin) -> Exchange:
    """The carrier's exchange. Call it inside the event loop that will use it."""
    account_sid, auth_token = config.twilio.account_sid, config.twilio.auth_token
    if "warm" not in carrier_kinds(config) or account_sid is None or auth_token is None:
        # A cold hand-over on Twilio needs none: its orders are the TwiML that we answer with.
        return NoExchange()
    # Only here: the SDK's REST half takes a second to import, which a server without it should not pay.
    from talkspurt.transports.twilio_exchange import LegUrls, TwilioExchange

    def urls(leg: Leg) -> LegUrls:
        answer, status, machine = (
            origin.url(about(path, leg.handover, leg.attempt)) for path in (LEG, LEG_STATUS, LEG_MACHINE)
        )
        return LegUrls(answer, status, machine)

    return TwilioExchange(
        account_sid,
        auth_token.get_secret_value(),
        api_url=config.twilio.api_url,
        urls=urls,
        resume_url=origin.url(RESUME),
    )
