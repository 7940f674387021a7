"""What a cloud's code means for a person, and what to do next.

Sources: Alibaba Cloud "Error codes" (help.aliyun.com/document_detail/87387, /48054, /51132), which Tuya's documents
repeat; EnOS "Get access token", "Cancel OTA Task", "Common error codes" and "Getting started".
"""

import re
from collections.abc import Mapping
from typing import Final

_FAST: Final = (
    "The cloud was called faster than it allows, perhaps by others of its account: ask again in a minute, or lower the"
    " account's “qps”."
)
_DOWN: Final = "The cloud could not serve the call just now: look at what is left, and ask again in a few minutes."
_BROKEN: Final = (
    "The cloud broke while it worked on the call and may have done it: look at what is left before asking again."
)
_KEY: Final = "The signature does not fit the key: check “key_id” and “key_secret” of the account, then ask again."
_CLOCK: Final = "The clock of the bot's machine differs too much from the cloud's: set it by NTP, then ask again."
_PERMISSION: Final = "The bot's key may not do this: have its owner grant it the operation, then ask again."
_INSTANCE: Final = "The IoT instance is wrong or missing: check “instance” and “region” of the account."
_PARAMETER: Final = (
    "The cloud did not accept a part of the call: check the ids that were typed; its message names the part."
)
_BUG: Final = "The bot formed the call wrongly: report it with the request id; asking again will not help."
_DOUBT: Final = "look at what is left"
"""Is in each sentence about a call that may have been carried out."""
_UNREAD: Final = "The cloud gave no usable answer just now: ask again in a few minutes."
_RENEWED: Final = (
    "The access token ran out and was renewed: ask again; if it comes back, check the account's key and secret."
)
_STATES: Final = "Devices had moved on since they were looked at: preview again, and ask for those that are left."

_ADVICE: Final[Mapping[str, str]] = {
    r"throttling(\..*)?": _FAST,
    r"serviceunavailable(temporary)?": _DOWN,
    r"internalerror|internalfailure|unknownerror": _BROKEN,
    r"signaturedoesnotmatch": _KEY,
    r"incompletesignature": _BUG,
    r"illegaltimestamp|invalidtimestamp(\..*)?": _CLOCK,
    r"signaturenonceused": "The cloud has seen this call before and may have done it: look at what is left before"
    " asking again.",
    r"invalidaccesskeyid(\..*)?": "The cloud does not know the account's key id, or its temporary key has run out:"
    " check “key_id”, and renew “security_token” if there is one.",
    r"invalidsecuritytoken(\..*)?|securitytoken\.expired": "The temporary key has run out or does not fit: renew"
    " “key_id”, “key_secret” and “security_token” together.",
    r"forbidden(\..*)?|nopermission(\..*)?": _PERMISSION,
    r"missing.*|invalidparameter(\..*)?": _PARAMETER,
    r"invalidprotocol(\..*)?": "The endpoint takes HTTPS alone: give the account's “endpoint” with https://.",
    r"invalidapi(\..*)?": "The endpoint does not offer this operation: check “region” or “endpoint” of the account.",
    r"iot\.system\.systemexception": _BROKEN,
    r"iot\.system\.instancenotfound|iot\.sre\.iotinstancenotfound": _INSTANCE,
    r"iot\.system\.uidnotfound": "The cloud account has no IoT Platform: check whose the key is.",
    r"iot\.system\.illegalrequest": "The cloud calls the request illegal: check “region”, “instance” and the ids, and"
    " give the request id to the cloud's support.",
    r"iot\.system\.billisoverdue": "The cloud account has unpaid bills: have them paid, then ask again.",
    r"iot\.common\.ramactionpermissiondeny": _PERMISSION,
    r"iot\.common\.authactionpermissiondeny": "The job or a device belongs to somebody else: check the ids and which"
    " account they are of.",
    r"iot\.common\.invalidpageparams": _BUG,
    r"iot\.(common|check)\.invalidformattedparameter": _PARAMETER,
    r"iot\.common\.apinotsupportedininstance": "This kind of IoT instance does not offer the operation: do it in the"
    " cloud's console.",
    r"iot\.common\.invalidtenant": "The key's owner has no access to this instance: check “instance” and the key.",
    r"iot\.prod\..*": "The cloud does not know the product: check the product key and that it is of this account.",
    r"iot\.device\..*": "The cloud does not take the device names: check that they are spelt right, of the job's"
    " product, and still exist.",
    r"iot\.ota\.firmwarenotfound": "The cloud does not know the firmware: check its id and that it is of this account.",
    r"iot\.ota\..*": "The cloud refused this for the job or firmware as it is: check the id, and the job's status in"
    " its console.",
    r"1001": "The same token was asked for twice at once: ask again.",
    r"1002": "EnOS does not know the app key: check “key_id” of the account.",
    r"1003": "EnOS does not accept the app secret: check “key_secret” of the account, and the machine's clock.",
    r"1004|1202": _BUG,
    r"1005": "EnOS could not give an access token just now: ask again in a few minutes.",
    r"1203|1204": _RENEWED,
    r"24404|99404": "EnOS does not know the job: check its id, and that “org” is its organization.",
    r"24617": "The job is not running, so that none of its tasks can be cancelled: start it in EnOS, or leave it.",
    r"24620": _STATES,
    r"24621": "Only failed tasks can be retried: nothing is to be done for the others.",
    r"99400": _PARAMETER,
    r"99403": "The app may not do this: have it granted “Control OTA” (before EnOS 2.4 “Device Management Full"
    " Access”).",
    r"99500|24500": _BROKEN,
    r"http 400|http 413": "The gateway did not take the request: lower “names_per_call” of the account, and ask again.",
    r"http 401": _RENEWED,
    r"http 403": "The gateway does not let the bot's address in: have its IP allowed, and check the key's permissions.",
    r"http 429": _FAST,
    r"http 500": _BROKEN,
    r"http 503": _DOWN,
    r"http 50[24]": "A gateway on the way got no answer from the cloud, which may have done it: look at what is left"
    " before asking again.",
    r"http [23]\d\d": "Something else than the cloud answered, such as a proxy's or a log-in page: check the endpoint"
    " and the way to it.",
    r"notsent": "The cloud could not be reached and nothing was sent: check the endpoint, name server and firewall.",
    r"noanswer|interrupted": "Nothing was heard after it was sent, and it may have been done: look at what is left"
    " before asking again.",
}
_FAMILIES: Final = tuple((re.compile(code, re.IGNORECASE), sentence) for code, sentence in _ADVICE.items())


def advice(code: str, *, read: bool = False) -> str:
    """Return a sentence for a person about a cloud's code, in any case of its letters; nothing where it is unknown.

    Of a `read` nobody has to look what became of it.
    """
    found = next((sentence for family, sentence in _FAMILIES if family.fullmatch(code)), "")
    return _UNREAD if read and _DOUBT in found else found
