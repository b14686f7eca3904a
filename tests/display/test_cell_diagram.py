"""The diagram of a cell: every map shows the tensor that its title names."""

import numpy as np
import pytest
import torch
from packed_frames import unpack

from nowcastlib.display import cell_diagram
from nowcastlib.display.player import CellPlayer
from nowcastlib.networks.cells import ConvGRUCell, ConvLSTMCell


@pytest.fixture
def run():
    """A cell, its input and the trace of a run."""
    torch.manual_seed(0)
    cell, x = ConvLSTMCell(1, 3, 5), torch.rand(1, 4, 1, 8, 8)
    torch.nn.init.normal_(cell.peephole)
    with torch.no_grad():
        return cell, x[0, :, 0].numpy(), cell.trace(x)


def test_each_map_shows_the_tensor_that_its_title_names(run):
    cell, x, trace = run
    figure = cell_diagram.draw_cell(cell, x, trace, step=2, channel=1)
    shown = {ax.get_title(): np.asarray(ax.images[0].get_array()) for ax in figure.axes}
    expected = {
        "input X$_t$": x[2],
        "memory C$_{t-1}$": trace["C"][0, 1, 1],
        "hidden H$_t$": trace["H"][0, 2, 1],
    }
    expected |= {title: trace[gate][0, 2, 1] for gate, title in cell_diagram.GATES.items()}
    expected |= {"W$_{xf}$": cell.from_x.weight[3 + 1, 0], "W$_{hc}$": cell.from_h.weight[6 + 1, 1]}
    expected |= {"W$_{xi}$": cell.from_x.weight[1, 0], "W$_{ho}$": cell.from_h.weight[9 + 1, 1]}
    for title, tensor in expected.items():
        np.testing.assert_allclose(shown[title], torch.as_tensor(tensor).detach(), err_msg=title)
    assert len(shown) == 5 + 8 + 4


def test_the_colours_of_the_memory_reach_as_far_as_its_values(run):
    cell, x, trace = run
    trace = {name: values.clone() for name, values in trace.items()}
    trace["C"][0, 1, 1, 0, 0] = -6.3
    figure = cell_diagram.draw_cell(cell, x, trace, step=2, channel=1)
    limits = {ax.get_title(): ax.images[0].get_clim() for ax in figure.axes}
    assert limits["memory C$_{t-1}$"] == limits["memory C$_t$"] == (-7, 7)
    assert limits["hidden H$_t$"] == (-1, 1)
    assert any("memory: blue −7, red +7" in text.get_text() for text in figure.texts)


def test_the_memory_runs_straight_from_the_old_to_the_new_state(run):
    figure = cell_diagram.draw_cell(*run, step=2, channel=1)
    signs = [text.get_text() for text in figure.texts]
    assert (signs.count("⊙"), signs.count("⊕")) == (3, 1)
    arrows = [artist for artist in figure.artists + figure.patches if hasattr(artist, "_posA_posB")]
    path = [arrow._posA_posB for arrow in arrows if arrow.get_linewidth() > 2]
    assert len(path) == 3
    assert all(start[0] < end[0] and start[1] == pytest.approx(end[1]) for start, end in path)


def test_peepholes_are_drawn_only_if_the_cell_has_them(run):
    cell, x, trace = run

    def dashed_arrows() -> int:
        figure = cell_diagram.draw_cell(cell, x, trace, 2, 1)
        styles = [artist.get_linestyle() for artist in figure.artists + figure.patches]
        return styles.count("--") + styles.count("dashed")

    assert dashed_arrows() == 3
    cell.peephole = None
    assert dashed_arrows() == 0


@pytest.mark.parametrize(("step", "channel"), [(0, 0), (4, 0), (2, 3), (2, -1)])
def test_the_error_for_a_missing_step_or_channel_names_the_existing_ones(run, step, channel):
    with pytest.raises(IndexError, match="steps 1 to 3 and 3 channels"):
        cell_diagram.draw_cell(*run, step, channel)


def test_cell_player_has_a_panel_per_tensor_and_a_choice_per_channel(run):
    _, x, trace = run
    player = CellPlayer(x, trace)
    panels, (choice, _) = player.scene["panels"], player.scene["controls"]
    assert [panel["title"] for panel in panels] == ["X", "i", "f", "g", "o", "C", "H"]
    assert [panel["sequences"] for panel in panels][:3] == [[0], [1, 2, 3], [4, 5, 6]]
    assert len(player.sequences) == 1 + 6 * 3
    assert choice["options"] == ["channel 0", "channel 1", "channel 2"]
    assert player.scene["labels"][-1] == "after frame 4 of 4"
    assert "not known" not in str(player.scene["legends"])


def test_cell_player_shows_gates_from_0_to_1_and_states_from_minus_1_to_1(run):
    _, x, trace = run
    player = CellPlayer(x, {"i": trace["i"], "C": trace["C"]})
    shades = [unpack(packed, (8, 8)) for packed in player.sequences]
    np.testing.assert_allclose(shades[0], 255 * x, atol=0.51)
    np.testing.assert_allclose(shades[1 + 2], 255 * trace["i"][0, :, 2].numpy(), atol=0.51)
    states = 255 * (trace["C"][0, :, 1].numpy().clip(-1, 1) / 2 + 0.5)
    np.testing.assert_allclose(shades[4 + 1], states, atol=0.51)


def test_cell_player_shows_a_gru():
    cell, x = ConvGRUCell(1, 2), torch.rand(1, 3, 1, 6, 6)
    with torch.no_grad():
        player = CellPlayer(x[0, :, 0].numpy(), cell.trace(x))
    panels = player.scene["panels"]
    assert [panel["title"] for panel in panels] == ["X", "z", "r", "g", "H"]
