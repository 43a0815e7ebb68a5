"""Static public instances: Cordeau and Li-Lim text, and JSON; hand-made, each number checked."""

import json

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.public import read_any
from compagnon.worlds.dispatch.importing.text_instances import kind_of, read_instance
from tests.worlds.dispatch.importing.test_public import instance, written

CORDEAU = """2 2 480 3 30
 0   1.000  -2.000   0   0    0  480
 1  -1.198  -5.164   3   1    0 1440
 2   5.573   7.114   3   2   65  165
 3   3.000   4.000   4  -1  276  291
 4   6.687   6.731   3  -2    0 1440
 5   1.000  -2.000   0   0    0  480
"""
LI_LIM = """25\t200\t1
0\t40\t50\t0\t0\t1236\t0\t0\t0
1\t45\t68\t-10\t912\t967\t90\t3\t0
2\t45\t70\t-20\t825\t870\t90\t4\t0
3\t42\t66\t10\t65\t146\t90\t0\t1
4\t42\t68\t20\t727\t782\t90\t0\t2
"""


def text(tmp_path, content, name="a2-2.txt"):
    path = tmp_path / name
    path.write_text(content)
    return path


def test_cordeau_is_read_to_the_last_number(tmp_path):
    path = text(tmp_path, CORDEAU)
    assert kind_of(path) == "cordeau"
    (day,), faults, said = read_instance(path, "cordeau")
    b, d, points = day.bookings, day.drivers, day.travel.coordinates
    assert faults == ()
    assert points[b.pickup].tolist() == [[-1.198, -5.164], [5.573, 7.114]]
    assert points[b.dropoff].tolist() == [[3, 4], [6.687, 6.731]]
    assert (b.pickup_from.tolist(), b.pickup_to.tolist()) == ([0, 65], [1440, 165])
    assert (b.dropoff_from.tolist(), b.dropoff_to.tolist()) == ([276, 0], [291, 1440])
    assert (b.boarding.tolist(), b.alighting.tolist()) == ([3, 3], [4, 3])
    assert b.load[:, 0].tolist() == [1, 2]
    assert b.max_ride.tolist() == [30, 30]
    assert b.announce.tolist() == [0, 0]
    assert (len(d), d.seats[:, 0].tolist()) == (2, [3, 3])
    assert points[d.start].tolist() == [[1, -2]] * 2
    assert "longest route, 480 minutes, is not imposed" in said[1]


def test_the_older_files_count_nodes_and_have_one_depot(tmp_path):
    lines = CORDEAU.replace("2 2 480", "2 4 480").splitlines()[:-1]
    (day,), _, _ = read_instance(text(tmp_path, "\n".join(lines)), "cordeau")
    assert day.bookings.load[:, 0].tolist() == [1, 2]


def test_li_lim_is_read_to_the_last_number(tmp_path):
    path = text(tmp_path, LI_LIM, "lc101.txt")
    assert kind_of(path) == "li-lim"
    (day,), _, said = read_instance(path, "li-lim")
    b, d, points = day.bookings, day.drivers, day.travel.coordinates
    assert points[b.pickup].tolist() == [[42, 66], [42, 68]]
    assert points[b.dropoff].tolist() == [[45, 68], [45, 70]]
    assert (b.pickup_from.tolist(), b.pickup_to.tolist()) == ([65, 727], [146, 782])
    assert (b.dropoff_from.tolist(), b.dropoff_to.tolist()) == ([912, 825], [967, 870])
    assert b.boarding.tolist() == [90, 90]
    assert b.load[:, 0].tolist() == [1, 2]  # ten of its load are a seat
    assert (len(d), d.seats[0, 0], d.shift_end[0]) == (25, 20, 1236)
    assert "10 of its load are a seat" in said


def test_li_lim_past_a_day_and_past_a_hundred_seats_is_scaled_and_said(tmp_path):
    lines = LI_LIM.replace("\t1236\t", "\t3390\t").replace("-20", "-7").replace("\t20\t", "\t7\t")
    (day,), _, said = read_instance(text(tmp_path, lines), "li-lim")
    assert day.drivers.shift_end[0] == 1130
    assert day.drivers.seats[0, 0] == 100
    assert day.bookings.load[:, 0].tolist() == [5, 4]  # 10 and 7 halved, and rounded up
    assert day.travel.coordinates[day.bookings.pickup[0]].tolist() == [14, 22]
    assert "2 of its load are a seat, each load rounded up" in said
    assert any("3 of its units" in line for line in said)


def test_a_static_instance_in_json_is_all_known_in_advance(tmp_path):
    data = instance()
    for one in data["requests"]:
        del one["arrival_time"]
    (day,), faults, _ = read_any(written(tmp_path, data))
    assert faults == ()
    assert day.bookings.announce.tolist() == [0, 0]
    data["requests"][0]["arrival_time"] = 5  # and of a dynamic one each says when
    (day,), faults, _ = read_any(written(tmp_path, data))
    assert (faults[0].row, faults[0].field) == (2, "arrival_time")


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("cordeau", CORDEAU.replace("276  291", "291  276"), "line 5: the window ends at 276"),
        ("cordeau", CORDEAU.replace("7.114   3", "7.114"), "line 4: a node of the format cordeau"),
        ("cordeau", CORDEAU.replace("2 2 480", "2 9 480"), "6 nodes; 9 requests have 20"),
        ("cordeau", CORDEAU.replace("2 2 480 3", "2 2 480 0"), "line 1: capacity is 0"),
        ("cordeau", CORDEAU.replace("5.164   3   1", "5.164   3   1.5"), "line 3: load is 1.5"),
        ("li-lim", LI_LIM.replace("\t0\t2", "\t0\t9"), "line 6: task 4 says that 9"),
        ("li-lim", LI_LIM.replace("\t200\t1", "\t200"), "the first line of the format li-lim"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path, kind, content, said):
    with pytest.raises(InputError, match=said):
        read_instance(text(tmp_path, content), kind)


def test_the_command_knows_the_formats_and_a_table_is_none(tmp_path, capsys):
    out = str(tmp_path / "days")
    assert main(["data", "import", str(text(tmp_path, CORDEAU)), "--out", out]) == 0
    assert "2 requests, 2 vehicles of 3 seats" in capsys.readouterr().out
    assert json.loads((tmp_path / "days" / "a2-2.json").read_text())["name"] == "a2-2"
    assert kind_of(text(tmp_path, "id,pickup_lat\n1,2\n", "b.csv")) == ""
    wrong = ["data", "check", str(text(tmp_path, LI_LIM)), "--profile", "cordeau"]
    assert main(wrong) == 2
    assert "the first line of the format cordeau has 5 numbers" in capsys.readouterr().err
