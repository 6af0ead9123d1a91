"""Violations: what each kind of fault means that stations are counted by, for people.

A kind is a stable name (`number_to_text`); where a message was refused over it, the name of the
message stands before it (`Authorize: type_constraint_violation`).
"""

from __future__ import annotations

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    # the handshake
    "missing_upgrade_header": "asked for a WebSocket without `Connection: Upgrade`; read as meant",
    "no_subprotocol": "offered no OCPP version; the switch `version` says which it speaks",
    # the frame
    "not_json": "sent text that is no JSON and could not be mended",
    "mended_json": "sent broken JSON whose meaning was plain; mended and used",
    "cut_off_json": "sent a message that was cut off; what had arrived was used",
    "bad_characters": "sent control characters or bytes that are no UTF-8; left out",
    "bad_text": "sent a text that no database can hold (half a surrogate pair); left out",
    "message_too_large": "sent a message over ocpp.max_message_bytes; its link was closed",
    "too_deep": "sent JSON nested deeper than any message is",
    "not_an_array": "sent JSON that is no OCPP message",
    "empty": "sent an empty array for a message",
    "unreadable_id": "sent a message whose id is missing or unusable",
    "wrong_arity": "sent a message with parts missing",
    "extra_elements": "sent a message with parts that there are none of",
    "long_message_id": "used a message id over 36 characters",
    "numeric_message_id": "used a number as message id, where text is asked for",
    "action_not_text": "sent a call whose action is no text",
    "payload_not_object": "sent a call whose payload is no object",
    "foreign_version": "sent a message of another OCPP version than its link speaks; served",
    # a value that was put right
    "number_to_text": "sent a number where text is asked for; taken as text",
    "boolean_to_text": "sent true or false where text is asked for; taken as text",
    "text_to_number": "sent a number as text; taken as a number",
    "text_to_boolean": "sent true or false as text; taken as such",
    "float_to_integer": "sent 5.0 for 5; taken as a whole number",
    "trimmed": "sent a text with spaces around it; taken without",
    "respelled": "wrote a word of the specification in other capitals; taken as that word",
    "truncated": "sent a text longer than allowed; cut",
    "empty_field_dropped": "sent an empty value for something optional; left out",
    "unknown_field_dropped": "sent a field that the message does not have; left out",
    # a value that could not be put right; what could be used of its message was
    "missing_field": "left out a field that is required",
    "unknown_field": "sent a field that the message does not have",
    "wrong_type": "sent a value of a type that cannot be used",
    "too_long": "sent a value longer than allowed",
    "too_short": "sent a value shorter than allowed",
    "unknown_value": "used a word that the specification does not have",
    "out_of_range": "sent a number beyond what is allowed",
    "too_many": "sent a list longer than allowed",
    "too_few": "sent a list shorter than allowed",
    "bad_format": "sent a value in another form than asked for",
    "connector_out_of_range": "reported a connector that no station has",
    "transaction_id_used_again": "used the id of an ended charge for another; kept apart",
    "report_too_large": "sent a report too large to keep; only its size was kept",
    "signed_data_too_large": "sent signed meter data too large to keep; left out",
    # a message that was refused
    "not_implemented": "sent a message that its OCPP version does not have; refused",
    "not_supported": "sent a message that is not for a station to send; refused",
    "internal_error": "sent a message that this system failed on; see quarantine",
    "protocol_error": "sent a message that cannot be used; refused",
    "security_error": "sent a message before it was accepted; refused",
    "format_violation": "sent a message of another form than specified; refused",
    "property_constraint_violation": "sent a value that cannot be used; refused",
    "occurrence_constraint_violation": "left out what is required, or sent too much; refused",
    "type_constraint_violation": "sent a value of the wrong type; refused",
    "generic_error": "sent a message that cannot be used; refused",
    "rpc_framework_error": "sent what is no OCPP message; refused",
    "message_type_not_supported": "sent a kind of message that there is none of",
    "other": "broke the protocol in another way",
}
RESULT = " result"


def explain(kind: str) -> str:
    """What a kind means, in a line."""
    action, colon, fault = kind.rpartition(": ")
    words = KINDS.get(fault, KINDS["other"])
    if not colon:
        return words
    if action.endswith(RESULT):
        return f"answered our {action.removesuffix(RESULT)} otherwise than specified"
    return f"{action}: {words}"
