# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from typer.testing import CliRunner

from ros2_dice.assets import missing_assets
from ros2_dice.cli.benchmark import app
from ros2_dice.share import share_folder

pytest.importorskip('rclpy')
pytest.importorskip('ros2_dice.msg')


def test_node_is_timed_over_dds(tmp_path):
    if missing_assets('open'):
        pytest.skip('the networks are not here; ros2-dice assets pull')
    if not (share_folder() / 'model' / 'sample.mp4').is_file():
        pytest.skip('the sample clip is not installed')
    path = tmp_path / 'node.json'
    result = CliRunner().invoke(app, ['node', '--frames', '20', '--rate', '5', '--json',
                                      str(path)])
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert report['received'] >= 3  # a busy machine drops images: the newest wins
    stages = report['stages']
    assert {'queue', 'decode', 'estimate', 'publish', 'overhead'} <= set(stages)
    assert 0.0 < stages['overhead']['median_ms'] < stages['overhead']['max_ms'] + 1e-9
    assert report['message_byte']['max'] >= report['message_byte']['median'] > 1000
