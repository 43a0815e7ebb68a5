"""What people's editors and shells do to a recipe is read as it was meant, or refused by name."""

from pathlib import Path

import pytest

from compagnon.envs import make
from compagnon.errors import InputError
from compagnon.rl.recipe import load_recipe, recipe_text
from compagnon.tuning.space import load_space

SPACE = '[algorithm]\nlearning_rate = { kind = "float", low = 1e-5, high = 1e-2, log = true }\n'


def test_a_byte_order_mark_is_no_part_of_a_recipe_or_a_space(tmp_path: Path) -> None:
    text = recipe_text("mountaincar-dqn")[1]
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_recipe(str(path)) == load_recipe("mountaincar-dqn")
    space = tmp_path / "space.toml"
    space.write_bytes(b"\xef\xbb\xbf" + SPACE.encode())
    found = load_space(load_recipe("mountaincar-dqn"), space)
    assert list(found.as_json()) == ["algorithm.learning_rate"]


@pytest.mark.parametrize("data", [b"\xff\xfen\x00", b"\x80\x81", b"\x00\x00"])
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"mine\.toml"):
        load_recipe(str(path))


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give a recipe"):
        load_recipe(str(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": True},
        {"threads": True},
        {"algorithm.gamma": True},
        {"budget.minutes": True},
        {"network.hidden": [64, True]},
    ],
)
def test_a_truth_value_is_no_number(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"should be a number, not true or false"):
        load_recipe("mountaincar-dqn", changes)


def test_a_truth_value_is_taken_where_one_is_meant() -> None:
    assert load_recipe("mountaincar-dqn", {"algorithm.double": True}).algorithm.double  # type: ignore[union-attr]
    assert load_recipe("mountaincar-dqn", {"network.scale_inputs": False}).network.scale_inputs is (
        False
    )


def test_an_option_of_an_environment_takes_no_truth_value_for_a_number_either() -> None:
    with pytest.raises(InputError, match="setup_minutes=True: should be a number"):
        make("compagnon/Workshop-v0", setup_minutes=True)
    assert make("compagnon/Workshop-v0", decision_points=True) is not None
