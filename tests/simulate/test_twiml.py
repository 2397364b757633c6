import pytest

from talkspurt.errors import ProtocolError
from talkspurt.simulate.twiml import ConnectStream, Dial, Hangup, Pause, Redirect, Reject, Say, Verb, parse_twiml


@pytest.mark.parametrize(
    ("body", "verbs"),
    [
        ("", ()),
        ("<Hangup/>", (Hangup(),)),
        ("<Say voice='Polly.Joanna'> All lines are busy. </Say><Hangup/>", (Say("All lines are busy."), Hangup())),
        ("<Pause/><Pause length='3'/>", (Pause(1.0), Pause(3.0))),
        ("<Redirect>https://h/r</Redirect>", (Redirect("https://h/r", "POST"),)),
        ("<Redirect method='get'>/r?a=1&amp;b=2</Redirect>", (Redirect("/r?a=1&b=2", "GET"),)),
        ("<Dial>+15551234567</Dial>", (Dial("+15551234567"),)),
        (
            "<Dial action='/dialled' answerOnBridge='true'><Number>+15551234567</Number></Dial>",
            (Dial("+15551234567", action="/dialled"),),
        ),
        ("<Reject reason='busy'/>", (Reject("busy"),)),
        (
            "<Connect action='/after'><Stream url='wss://h/m'><Parameter name='token' value='a&quot;b'/>"
            "<Parameter name='empty'/></Stream></Connect>",
            (ConnectStream("wss://h/m", (("token", 'a"b'), ("empty", "")), "/after"),),
        ),
    ],
)
def test_reads_the_verbs_of_an_answered_call(body: str, verbs: tuple[Verb, ...]) -> None:
    assert parse_twiml(f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>') == verbs


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("", "12100"),
        ("not xml", "12100"),
        ("<Response>", "12100"),
        ("<Other/>", "<Other>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Response>&b;</Response>', "12100"),
        ("<Response><Gather/></Response>", "<Gather>"),
        ("<Response><Start><Stream url='wss://h'/></Start></Response>", "<Start>"),
        ("<Response><Connect/></Response>", "exactly one <Stream>"),
        ("<Response><Connect><Stream url='https://h/m'/></Connect></Response>", "31922"),
        ("<Response><Connect><Stream/></Connect></Response>", "31922"),
        ("<Response><Connect><Stream url='wss://h'><Param/></Stream></Connect></Response>", "Parameter"),
        ("<Response><Pause length='1.5'/></Response>", "length"),
        ("<Response><Dial/></Response>", "number"),
    ],
)
def test_refuses_what_this_carrier_would_not_do(document: str, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        parse_twiml(document)
