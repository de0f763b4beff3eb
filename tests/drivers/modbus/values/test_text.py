"""Texts: letters in registers, and what devices have beside them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Reason
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.registers import Order, Table, swap
from drivers.modbus.values.text import Encoding, Text

LETTERS = {
    Encoding.ASCII: st.characters(min_codepoint=0x20, max_codepoint=0x7E),
    Encoding.LATIN_1: st.characters(min_codepoint=0x20, max_codepoint=0xFF),
    Encoding.UTF_8: st.characters(exclude_categories=["Cs"]),
    Encoding.UTF_16: st.characters(exclude_categories=["Cs"]),
}


def codec(length, encoding=Encoding.ASCII, order=Order.ABCD):
    return Codec(
        table=Table.HOLDING, addresses=(0,), order=order, meaning=Text(length=length, encoding=encoding)
    )


@pytest.mark.parametrize(
    ("sent", "encoding", "text"),
    [
        (b"SE5000\0\0", Encoding.ASCII, "SE5000"),
        (b"SE5000  ", Encoding.ASCII, "SE5000"),
        (b"  SE5000", Encoding.ASCII, "SE5000"),
        (b"\0\0SE5000", Encoding.ASCII, "SE5000"),
        (b"1.2\0\xde\xad\xbe\xef", Encoding.ASCII, "1.2"),  # what was there before
        (b"a  b\r\n\0\0", Encoding.ASCII, "a  b"),
        (b"\x1b[2Jboom", Encoding.ASCII, "[2Jboom"),  # no terminal is cleared
        (b"V\xe4rme\0\0\0", Encoding.LATIN_1, "Värme"),
        (b"a\x85b\0", Encoding.LATIN_1, "a b"),
        ("Värme ".encode() + b"\0", Encoding.UTF_8, "Värme"),
        (b"\0V\0\xe4\0r\0\0", Encoding.UTF_16, "Vär"),
        (b"\xfe\xff\0V\0\xe4\0r", Encoding.UTF_16, "Vär"),  # a mark of the byte order
        ("\u202eabc".encode(), Encoding.UTF_8, "abc"),  # nor is anything written backwards
    ],
)
def test_a_text_is_what_a_person_would_copy_from_the_label(sent, encoding, text):
    """Without the padding, without what stands behind the end, without what cannot be printed."""
    assert codec(len(sent) // 2, encoding).decode(sent) == text


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("nothing", ["", "  ", "\r\n", " \0 "])
def test_nothing_is_no_text(encoding, nothing):
    """Missing is missing, never an empty text; all ones are what a store has that was never written."""
    sent = nothing.encode(encoding.codec).ljust(8, b"\0")
    assert codec(4, encoding).decode(sent) is Reason.SENSOR_FAILURE
    assert codec(4, encoding).decode(b"\xff" * 8) is Reason.SENSOR_FAILURE


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (b"V\xe4rme ", Encoding.ASCII),
        (b"V\xe4rme ", Encoding.UTF_8),
        (b"V\xc3", Encoding.UTF_8),
        (b"\xd8\x00\0a", Encoding.UTF_16),
        (b"ok\xff\xff", Encoding.ASCII),
    ],
)
def test_bytes_that_are_no_letters_give_no_text(sent, encoding):
    """Half a text is none: the encoding is another, or the registers are something else."""
    assert codec(len(sent) // 2, encoding).decode(sent) is Reason.OUT_OF_RANGE


def test_the_low_byte_first_is_an_order():
    """BADC exchanges the two bytes of each register; the words of a text are never reversed."""
    assert codec(3, order=Order.BADC).decode(b"ES0505") == "SE5050"
    assert codec(3, order=Order.BADC).encode("SE5050") == b"ES0505"


@settings(deadline=None)
@given(data=st.data(), encoding=st.sampled_from(Encoding), order=st.sampled_from([Order.ABCD, Order.BADC]))
def test_a_text_that_is_stored_reads_as_it_was(data, encoding, order):
    """Or it is refused in words, before anything is sent: too long, letters that the encoding lacks, not printable."""
    text = data.draw(st.text(LETTERS[encoding], min_size=1, max_size=20))
    made = codec(16, encoding, order)
    try:
        sent = made.encode(text)
    except ValueError:
        fits = len(text.encode(encoding.codec)) <= 32
        assert (
            not fits or not text.isprintable() or text.strip() != text or "\N{REPLACEMENT CHARACTER}" in text
        )
        return
    assert made.decode(sent) == text
    plain = swap(sent) if order.swapped else sent
    assert plain.rstrip(b"\0").startswith(text.encode(encoding.codec).rstrip(b"\0"))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (5, "expected a text, found 5"),
        ("Värme", "'Värme' has letters that ascii has not"),
        ("too long", "'too long' does not fit into 3 registers"),
        (" a", "expected a printable text without spaces round it, found ' a'"),
        ("", "expected a printable text without spaces round it, found ''"),
        ("a\0b", r"expected a printable text without spaces round it, found 'a\x00b'"),
    ],
)
def test_what_is_no_text_of_the_point_is_refused(value, problem):
    """In words that a person can act on."""
    with pytest.raises(ValueError, match=r".") as raised:
        codec(3).encode(value)
    assert str(raised.value) == problem


def test_an_emulated_text_is_cut_where_it_does_not_fit():
    """As a device would do with a name that is too long; letters are never halved."""
    assert codec(2).pack(*Text(length=2).nearest(None, None)("SE5000")) == b"SE50"
    long = Text(length=2, encoding=Encoding.UTF_8)
    assert long.nearest(None, None)("abcä") == (b"abc\0",)
