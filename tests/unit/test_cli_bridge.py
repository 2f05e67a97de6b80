from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest

from monitor.cli import bridge

TABLE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
mw1\t0004D50A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0
"""

DUMP = """*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.213.4.0/22 ! -o mw1 -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i mw1 -p tcp -m comment --comment "web of mw1 here" -j DNAT
COMMIT
*filter
-A FORWARD -i mw1 -o mw1 -j ACCEPT
-A FORWARD -i mw12 -j ACCEPT
COMMIT
"""


def test_routes_are_read_without_the_default() -> None:
    assert bridge.routes(TABLE) == [IPv4Network("172.17.0.0/16"), IPv4Network("10.213.4.0/22")]


def test_a_range_is_free_and_the_seed_decides_where_the_search_starts() -> None:
    assert bridge.choose(0, []) == IPv4Interface("10.213.0.1/22")
    assert bridge.choose(1, []) == IPv4Interface("10.213.4.1/22")
    assert bridge.choose(1, bridge.routes(TABLE)) == IPv4Interface("10.213.8.1/22")
    assert bridge.choose(63, [IPv4Network("10.213.252.0/24")]) == IPv4Interface("10.213.0.1/22")


def test_a_pool_that_is_routed_elsewhere_is_an_error() -> None:
    with pytest.raises(bridge.BridgeError, match="routed elsewhere"):
        bridge.choose(7, [IPv4Network("10.0.0.0/8")])


def test_only_rules_of_that_interface_are_found() -> None:
    found = bridge.rules_naming("mw1", DUMP)
    assert [(table, rule[0]) for table, rule in found] == [
        ("nat", "POSTROUTING"),
        ("nat", "DOCKER"),
        ("filter", "FORWARD"),
    ]
    assert "web of mw1 here" in found[1][1]
