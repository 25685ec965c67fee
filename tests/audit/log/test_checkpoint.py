"""Signed notes, keys, checkpoints and cosignatures: known answers, and nothing but the exact form is read."""

from __future__ import annotations

import base64
import hashlib

import pytest

from audit.log.checkpoint import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Note,
    NoteError,
    Signature,
    SignatureError,
    VerifierKey,
    cosignatures,
    cosigned_at,
    decode_base64,
    decode_number,
    encode_base64,
    open_checkpoint,
    sign,
)
from audit.log.ed25519 import verify
from audit.log.merkle import EMPTY_ROOT
from tests.audit.log.logs import ORIGIN, Key, Log, entries, witness

KNOWN_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"  # from the specification

# The example of Go's signed-note package, made by software that is not ours.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

LOG = Log(entries(20))
KEY = LOG.key.public
NOTE = LOG.note()
LINE = str(NOTE.signatures[0])


def test_the_known_key_of_the_specification_is_read_and_written_alike() -> None:
    key = VerifierKey.parse(KNOWN_VKEY)
    assert (key.name, key.algorithm, key.key_id.hex()) == ("example.com/foo", ED25519, "530d903a")
    assert str(key) == KNOWN_VKEY


def test_a_note_signed_by_other_software_verifies() -> None:
    key, note = VerifierKey.parse(GO_VKEY), Note.parse(GO_NOTE)
    (line,) = note.by(key)
    assert verify(key.public_key, note.text.encode(), line.data)
    assert note.encode() == GO_NOTE


@pytest.mark.parametrize(
    ("vkey", "fault"),
    [
        ("", "not a verifier key"),
        ("example.com/foo", "not a verifier key"),
        ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "not a verifier key"),
        (KNOWN_VKEY.replace("530d903a", "530D903A"), "not a verifier key"),
        (KNOWN_VKEY.replace("530d903a", "530d903"), "not a verifier key"),
        (KNOWN_VKEY.replace("530d903a", "530d903b"), "does not have the id 530d903b"),
        (KNOWN_VKEY.replace("example.com/foo", "example.com/bar"), "does not have the id"),
        (KNOWN_VKEY.replace("example.com/foo", "example.com foo"), "not the name of a key"),
        (KNOWN_VKEY.replace("example.com/foo", "example.com\u00a0foo"), "not the name of a key"),
        (KNOWN_VKEY.replace("example.com/foo", "example.com\udc80foo"), "not the name of a key"),
        (KNOWN_VKEY + "\n", "is not base64"),
        (KNOWN_VKEY[:-1] + "l", "does not have the id"),
        (KNOWN_VKEY[:-4], "is no Ed25519 key"),
        (KNOWN_VKEY.replace("+AekyeRrm", "+BukyeRrm"), "type 6, which is not supported"),
        ("example.com/foo+530d903a+AQ==", "is no Ed25519 key"),
        ("example.com/foo+530d903a+A", "is not base64"),
    ],
)
def test_a_key_in_any_other_form_is_refused(vkey: str, fault: str) -> None:
    with pytest.raises(NoteError, match=fault):
        VerifierKey.parse(vkey)


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q Q==", "QQ==QQ==", "-_==", "Ä", "="])
def test_base64_has_one_spelling(text: str) -> None:
    assert decode_base64("QQ==") == b"A"
    with pytest.raises(NoteError, match="base64"):
        decode_base64(text)


@pytest.mark.parametrize(
    "text", ["", "00", "01", "-1", "+1", "1 ", "1.0", "1e3", "٣", "9223372036854775808", "1" * 5000]
)
def test_numbers_have_one_spelling_and_an_end(text: str) -> None:
    assert decode_number("0") == 0
    assert decode_number("9223372036854775807") == 2**63 - 1
    with pytest.raises(NoteError, match="not a size or index"):
        decode_number(text)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "no signature lines"),
        (b"text\n", "no signature lines"),
        (b"text\n\n", "no signature lines"),
        (f"text\n{LINE}".encode(), "no signature lines"),
        (f"text\n\n{LINE}"[:-1].encode(), "no signature lines"),
        (f"text\n\n{LINE}\n".encode(), "no signature lines"),
        (f"text\n\n{LINE}\n{LINE}\n\n".encode(), "no signature lines"),
        (f"text\n\n{LINE}more\n".encode(), "line is malformed"),
        (f"text\n\n{LINE}".replace("— ", "- ").encode(), "line is malformed"),
        (f"text\n\n{LINE}".replace("— ", "—  ").encode(), "line is malformed"),
        (f"text\n\n {LINE}".encode(), "line is malformed"),
        (f"text\n\n{LINE}".replace("/glasscase", "+glasscase").encode(), "line is malformed"),
        (f"text\n\n{LINE}".replace("/glasscase", "\u00a0glasscase").encode(), "line is malformed"),
        (f"text\n\n{LINE[:-1]} \n".encode(), "line is malformed"),
        (f"text\n\n{LINE[:-1]}=\n".encode(), "base64"),
        ("text\n\n— name AAAAAA==\n".encode(), "line is too short"),
        (f"text\r\n\n{LINE}".encode(), "control character"),
        (f"te\tt\n\n{LINE}".encode(), "control character"),
        (f"te\0t\n\n{LINE}".encode(), "control character"),
        (b"text\xff\n\n" + LINE.encode(), "not UTF-8"),
        (b"\xef\xbb" + LINE.encode(), "not UTF-8"),
        (f"text\n\n{LINE * 101}".encode(), "too many signatures"),
        (b"x" * 1_000_001, "too long"),
    ],
)
def test_a_note_in_any_other_form_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(NoteError, match=fault):
        Note.parse(data)


def test_the_last_empty_line_parts_text_and_signatures() -> None:
    note = Note.parse(f"one\n\ntwo\n\n{LINE}".encode())
    assert note.text == "one\n\ntwo\n"
    assert note.signatures == NOTE.signatures


def test_a_hundred_signatures_are_accepted() -> None:
    assert len(Note.parse(f"text\n\n{LINE * 100}".encode()).signatures) == 100


ROOT_LINE = encode_base64(EMPTY_ROOT)


def test_a_checkpoint_is_read_and_written_alike() -> None:
    text = f"{ORIGIN}\n20\n{ROOT_LINE}\n"
    assert Checkpoint.parse(text) == Checkpoint(ORIGIN, 20, EMPTY_ROOT)
    assert Checkpoint(ORIGIN, 20, EMPTY_ROOT).text == text
    extended = text + "more\nand more\n"
    assert Checkpoint.parse(extended).extensions == ("more", "and more")
    assert Checkpoint.parse(extended).text == extended


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "needs an origin"),
        ("\n", "needs an origin"),
        (f"{ORIGIN}\n20\n", "needs an origin"),
        (f"{ORIGIN}\n20\n{ROOT_LINE}", "needs an origin"),
        (f"\n20\n{ROOT_LINE}\n", "needs an origin"),
        (f"{ORIGIN}\n\n{ROOT_LINE}\n", "needs an origin"),
        (f"{ORIGIN}\n20\n{ROOT_LINE}\n\n", "needs an origin"),
        (f"{ORIGIN}\n20\n{ROOT_LINE}\n\nmore\n", "needs an origin"),
        (f"{ORIGIN}\n020\n{ROOT_LINE}\n", "not a size"),
        (f"{ORIGIN}\n-1\n{ROOT_LINE}\n", "not a size"),
        (f"{ORIGIN}\n20 \n{ROOT_LINE}\n", "not a size"),
        (f"{ORIGIN}\n20\n{ROOT_LINE[:-1]}\n", "base64"),
        (f"{ORIGIN}\n20\n{ROOT_LINE[:-2]}V=\n", "not canonical base64"),
        (f"{ORIGIN}\n20\n{ROOT_LINE} \n", "base64"),
        (f"{ORIGIN}\n20\n{encode_base64(EMPTY_ROOT[:31])}\n", "not a hash of 32 bytes"),
        (f"{ORIGIN}\n20\n{EMPTY_ROOT.hex()}\n", "not a hash of 32 bytes"),
    ],
)
def test_a_checkpoint_in_any_other_form_is_refused(text: str, fault: str) -> None:
    with pytest.raises(NoteError, match=fault):
        Checkpoint.parse(text)


def test_a_signed_checkpoint_opens_under_the_log_key() -> None:
    signed = open_checkpoint(NOTE.encode(), [KEY])
    assert signed.checkpoint == LOG.checkpoint()
    assert signed.signers == (KEY,)
    assert signed.note == NOTE


def test_lines_by_unknown_keys_are_ignored_wherever_they_stand() -> None:
    stranger = Key(ORIGIN, seed=7)
    unknown = [
        sign(NOTE.text, stranger.public, stranger.private),  # same name, other key
        Signature("other.example.org", KEY.key_id, bytes(64)),  # same id, other name
        Signature("ml-dsa.example.org", b"\1\2\3\4", bytes(2428)),
        Signature("short.example.org", b"\1\2\3\4", b"x"),
    ]
    note = Note(NOTE.text, (*unknown[:2], *NOTE.signatures, *unknown[2:]))
    assert open_checkpoint(note.encode(), [KEY]).signers == (KEY,)


@pytest.mark.parametrize("data", [bytes(64), bytes(63), bytes(65), b"x", NOTE.signatures[0].data + b"\0"])
def test_a_wrong_line_by_a_known_key_spoils_the_note_even_beside_a_right_one(data: bytes) -> None:
    wrong = Signature(KEY.name, KEY.key_id, data)
    for lines in ((wrong,), (wrong, *NOTE.signatures), (*NOTE.signatures, wrong)):
        with pytest.raises(SignatureError, match="is wrong"):
            open_checkpoint(Note(NOTE.text, lines).encode(), [KEY])


def test_while_keys_are_replaced_either_one_is_enough_but_both_must_be_right() -> None:
    successor = Key(ORIGIN, seed=2)
    both = NOTE.with_signatures(sign(NOTE.text, successor.public, successor.private))
    assert open_checkpoint(both.encode(), [KEY]).signers == (KEY,)
    assert open_checkpoint(both.encode(), [successor.public]).signers == (successor.public,)
    assert open_checkpoint(both.encode(), [KEY, successor.public]).signers == (KEY, successor.public)
    assert open_checkpoint(NOTE.encode(), [KEY, successor.public]).signers == (KEY,)
    spoiled = NOTE.with_signatures(Signature(ORIGIN, successor.public.key_id, bytes(64)))
    with pytest.raises(SignatureError, match="is wrong"):
        open_checkpoint(spoiled.encode(), [KEY, successor.public])


def test_without_a_signature_by_the_given_key_the_checkpoint_is_refused() -> None:
    with pytest.raises(SignatureError, match="no signature by a key that was given"):
        open_checkpoint(NOTE.encode(), [Key(ORIGIN, seed=9).public])
    with pytest.raises(SignatureError, match="no signature by a key that was given"):
        open_checkpoint(NOTE.encode(), [])


def test_a_key_signs_only_for_the_log_of_its_name() -> None:
    other = Key("other.example.org", seed=1)
    note = Note(NOTE.text, (sign(NOTE.text, other.public, other.private),))
    with pytest.raises(SignatureError, match="but the key is of another log"):
        open_checkpoint(note.encode(), [other.public])


def test_a_witness_key_is_no_log_key_and_the_other_way_round() -> None:
    with pytest.raises(SignatureError, match="a witness's, not a log's"):
        open_checkpoint(NOTE.encode(), [Key(ORIGIN, 1, COSIGNATURE).public])
    with pytest.raises(SignatureError, match="a log's, not a witness's"):
        cosignatures(NOTE, [KEY])


def test_a_cosignature_is_over_time_and_text_and_has_its_own_key_id() -> None:
    board = witness(1)
    note = board.cosign(NOTE, 1_800_000_000)
    line = note.signatures[-1]
    typed = b"\x04" + board.public.public_key
    assert line.key_id == hashlib.sha256(board.name.encode() + b"\n" + typed).digest()[:4]
    assert len(base64.b64decode(str(line).split(" ")[2])) == 76
    assert line.data[:8] == (1_800_000_000).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1800000000\n" + NOTE.text.encode()
    assert verify(board.public.public_key, message, line.data[8:])


def test_witnesses_are_counted_once_at_their_latest_time_and_unknown_ones_not_at_all() -> None:
    note = NOTE
    for who, time in ((1, 100), (2, 50), (1, 300), (1, 200), (9, 400)):
        note = witness(who).cosign(note, time)
    found = cosignatures(Note.parse(note.encode()), [witness(1).public, witness(2).public, witness(3).public])
    assert found == {witness(1).public: 300, witness(2).public: 50}
    assert open_checkpoint(note.encode(), [KEY]).checkpoint == LOG.checkpoint()


def refused_cosignature(line: Signature) -> None:
    with pytest.raises(SignatureError, match=r"cosignature by .witness1\.example\.org. is wrong"):
        cosigned_at(NOTE.text, witness(1).public, line)
    assert cosignatures(NOTE.with_signatures(line), [witness(1).public]) == {}
    right = witness(1).cosign(NOTE, 50).with_signatures(line)
    assert cosignatures(right, [witness(1).public]) == {witness(1).public: 50}


@pytest.mark.parametrize("at", [0, 7, 8, 71])
def test_a_cosignature_with_another_time_or_signature_counts_for_nothing(at: int) -> None:
    line = witness(1).cosign(NOTE, 100).signatures[-1]
    data = bytearray(line.data)
    data[at] ^= 1
    refused_cosignature(Signature(line.name, line.key_id, bytes(data)))


@pytest.mark.parametrize("data", [b"x", bytes(8), bytes(71), bytes(73)])
def test_a_cosignature_of_another_length_counts_for_nothing(data: bytes) -> None:
    refused_cosignature(Signature(witness(1).name, witness(1).public.key_id, data))


def test_a_cosignature_of_another_checkpoint_counts_for_nothing() -> None:
    refused_cosignature(witness(1).cosign(LOG.note(19), 100).signatures[-1])


def test_a_time_beyond_the_signed_range_counts_for_nothing_even_if_signed() -> None:
    refused_cosignature(witness(1).cosign(NOTE, 2**63).signatures[-1])
    assert cosignatures(witness(1).cosign(NOTE, 2**63 - 1), [witness(1).public]) == {witness(1).public: 2**63 - 1}
