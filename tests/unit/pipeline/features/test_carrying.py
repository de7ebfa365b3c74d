"""pipeline.features.carrying: the network on its way to the workers."""

from dataclasses import replace

from pipeline.features.carrying import pack, unpack
from pipeline.network.engine import engine_for
from pipeline.network.keras_model import Network


def test_a_network_arrives_as_it_was_packed(tiny_network: Network) -> None:
    parcel = pack(tiny_network)
    assert vars(unpack(parcel.name, lambda: parcel.data)) == vars(tiny_network)


def test_every_task_of_a_process_has_the_same_network_and_so_the_same_engine(tiny_network: Network) -> None:
    parcel, read = pack(tiny_network), []
    networks = [unpack(parcel.name + "x", lambda: read.append(1) or parcel.data) for _ in range(2)]  # type: ignore[func-returns-value]
    assert len(read) == 1
    assert engine_for(networks[0]) is engine_for(networks[1])


def test_another_network_has_another_name_and_takes_the_place_of_the_first(tiny_network: Network) -> None:
    other = replace(tiny_network, precision="bf16")
    first, second = pack(tiny_network), pack(other)
    assert first.name != second.name
    read: list[str] = []
    for parcel, network in ((first, tiny_network), (second, other), (first, tiny_network)):
        unpacked = unpack(parcel.name, lambda one=parcel: read.append(one.name) or one.data)  # type: ignore[misc]
        assert unpacked.precision == network.precision
    # A worker keeps one, whatever else it is given.
    assert read == [first.name, second.name, first.name]
