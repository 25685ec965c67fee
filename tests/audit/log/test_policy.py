"""Policy files: the format's example, every line that is refused, and quorums over nested groups."""

from __future__ import annotations

import itertools

import pytest

from audit.log.policy import Policy, PolicyError, is_policy
from tests.audit.log.logs import ORIGIN, Key, witness

LOG = str(Key().public)
W = [str(witness(number).public) for number in range(8)]

TWO_LEVELS = f"""# who has to see the log
log {LOG}

witness X1 {W[1]} http://127.0.0.1:8081/prefix
\twitness X2\t{W[2]}
witness X3 {W[3]}
group X-witnesses 2 X1 X2 X3

witness Y1 {W[4]}
witness Y2 {W[5]}
group Y-witnesses any Y1 Y2

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


def test_a_policy_of_two_levels_is_read_as_it_says() -> None:
    policy = Policy.parse(TWO_LEVELS)
    assert [key.name for key in policy.logs] == [ORIGIN]
    assert [(one.name, one.url) for one in policy.witnesses] == [
        ("X1", "http://127.0.0.1:8081/prefix"),
        ("X2", ""),
        ("X3", ""),
        ("Y1", ""),
        ("Y2", ""),
    ]
    assert policy.fewest == 3


def test_a_quorum_is_met_by_exactly_the_sets_that_meet_it() -> None:
    policy = Policy.parse(TWO_LEVELS)
    numbers = (1, 2, 3, 4, 5)
    for count in range(len(numbers) + 1):
        for chosen in itertools.combinations(numbers, count):
            expected = len({1, 2, 3} & set(chosen)) >= 2 and bool({4, 5} & set(chosen))
            assert policy.met([witness(number).public for number in chosen]) is expected, chosen
    assert not policy.met([witness(1).public, Key("stranger.example", 77, 4).public, witness(4).public])


def test_without_a_quorum_nobody_has_to_cosign() -> None:
    policy = Policy.parse(b"quorum none")
    assert (policy.met([]), policy.fewest, policy.witnesses) == (True, 0, ())


def test_a_single_witness_may_be_the_quorum() -> None:
    policy = Policy.parse(f"witness court {W[1]}\nwitness board {W[2]}\nquorum board\n".encode())
    assert not policy.met([witness(1).public])
    assert policy.met([witness(2).public])
    assert policy.fewest == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no quorum line"),
        (f"witness a {W[1]}", "no quorum line"),
        ("quorum none\nquorum none", "line 2: there is a quorum already"),
        ("quorum a", "line 1: 'a' is not defined above"),
        (f"quorum a\nwitness a {W[1]}", "line 1: 'a' is not defined above"),
        (f"witness a {W[1]}\nwitness a {W[2]}\nquorum a", "line 2: the name 'a' is taken"),
        (f"witness none {W[1]}\nquorum none", "line 1: the name 'none' is taken"),
        (f"witness a {W[1]}\nwitness b {W[1]}\nquorum a", "line 2: this names one witness twice"),
        (f"witness a {W[1]}\nwitness b {Key(witness(1).name, 250, 4).public}\nquorum a", "one witness twice"),
        (f"witness a {W[1]}\nwitness b {Key('other.example', 101, 4).public}\nquorum a", "one witness twice"),
        (f"witness a {LOG}\nquorum a", "is not a witness's"),
        (f"log {W[1]}\nquorum none", "is not a log's"),
        (f"log {LOG}\nlog {LOG}\nquorum none", "line 2: this log's key is there already"),
        (f"witness a {W[1][:-2]}\nquorum a", "line 1: "),
        (f"witness a {W[1]} ftp://x\nquorum a", "is not an http address"),
        (f"witness a {W[1]} http://u:p@x\nquorum a", "is not an http address"),
        (f"witness a {W[1]} http://x?y\nquorum a", "is not an http address"),
        (f"witness a {W[1]} http://x:99999\nquorum a", "is not an http address"),
        (f"witness a {W[1]}\ngroup g 2 a\nquorum g", "line 2: 2 of 1 members cannot be had"),
        (f"witness a {W[1]}\ngroup g 0 a\nquorum g", "neither all nor any nor a number"),
        (f"witness a {W[1]}\ngroup g 01 a\nquorum g", "neither all nor any nor a number"),
        (f"witness a {W[1]}\ngroup g some a\nquorum g", "neither all nor any nor a number"),
        ("group g all\nquorum g", "line 1: this is not a line of a policy"),
        ("group g all none\nquorum g", "line 1: 'none' is not defined above"),
        ("group g all g\nquorum g", "line 1: 'g' is not defined above"),
        (f"witness a {W[1]}\ngroup g 2 a a\nquorum g", "'a' is a member of a group already"),
        (f"witness a {W[1]}\ngroup g any a\ngroup h any a\nquorum g", "'a' is a member of a group already"),
        (f"witness a {W[1]}\ngroup a any a\nquorum a", "line 2: the name 'a' is taken"),
        ("quorum none\r", "control character"),
        ("quorum none\x00", "control character"),
        ("quorum none extra", "line 1: this is not a line of a policy"),
        ("Quorum none", "line 1: this is not a line of a policy"),
        ("#" * 200_001, "too long"),
    ],
)
def test_what_the_format_does_not_allow_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(text.encode())
    assert reason in str(caught.value)


def test_names_are_octets_and_comments_may_say_anything() -> None:
    data = b"# \xff\xfe\nwitness K\xe2\x84\xaa " + W[1].encode() + b"\nquorum K\xe2\x84\xaa\n"
    assert Policy.parse(data).fewest == 1
    with pytest.raises(PolicyError, match="not defined above"):
        Policy.parse(data.replace(b"quorum K\xe2\x84\xaa", b"quorum KK"))


def test_thirty_two_of_each_are_read() -> None:
    lines = [f"log {Key(f'log{n}.example', 300 + n).public}" for n in range(32)]
    lines += [f"witness w{n} {witness(n).public}" for n in range(32)]
    lines += [f"group g{n} any w{n}" for n in range(31)]
    lines += ["group all all w31 " + " ".join(f"g{n}" for n in range(31)), "quorum all"]
    assert Policy.parse("\n".join(lines).encode()).fewest == 32


def test_keys_alone_make_a_policy_of_so_many_of_them() -> None:
    policy = Policy.of([witness(1).public, witness(2).public, witness(3).public], 2)
    assert policy.fewest == 2
    assert policy.met([witness(1).public, witness(3).public])
    assert not policy.met([witness(1).public])


@pytest.mark.parametrize(
    ("data", "expected"),
    [(TWO_LEVELS, True), (b"quorum none", True), (W[1].encode(), False), (b"# log\n\nwho", False), (b"", False)],
)
def test_a_policy_is_told_from_a_list_of_keys(data: bytes, expected: bool) -> None:
    assert is_policy(data) is expected
