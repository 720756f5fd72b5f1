# SPDX-License-Identifier: Apache-2.0
"""The transforms that would be sent, with a stand-in for tf2_msgs, of which there is no wheel."""
import sys
import types

from fakes import estimate_of
from std_msgs.msg import Header

from ros2_dice.ros.tf import FrameBroadcaster


class TFMessage:
    """The field of tf2_msgs/TFMessage."""

    def __init__(self, transforms):
        self.transforms = transforms


class Recorder:
    """A node with one publisher that remembers."""

    def __init__(self):
        self.sent, self.topic, self.destroyed = [], '', False

    def create_publisher(self, kind, topic, profile):
        self.topic = topic
        return self

    def publish(self, message):
        self.sent.append(message)

    def destroy_publisher(self, publisher):
        self.destroyed = publisher is self


def test_frames_are_named_after_tracks_and_missing_poses_send_nothing(monkeypatch):
    package, module = types.ModuleType('tf2_msgs'), types.ModuleType('tf2_msgs.msg')
    module.TFMessage = TFMessage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'tf2_msgs', package)
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)
    recorder = Recorder()
    broadcaster = FrameBroadcaster(recorder, 'robot_')  # type: ignore[arg-type]
    assert recorder.topic == '/tf'
    header = Header(frame_id='camera')
    header.stamp.sec = 7
    broadcaster.send(header, [estimate_of(0)])
    face, wrist = recorder.sent[0].transforms
    assert (face.child_frame_id, wrist.child_frame_id) == ('robot_face_aaaaa',
                                                           'robot_wrist_bbbbb')
    assert face.header == header
    assert face.transform.translation.z == 0.6
    assert face.transform.rotation.w == 1.0
    broadcaster.send(header, [])
    assert len(recorder.sent) == 1
    broadcaster.send(Header(stamp=header.stamp), [estimate_of(0)])
    assert len(recorder.sent) == 1, 'tf takes no transform below a nameless frame'
    broadcaster.close()
    assert recorder.destroyed
