# SPDX-License-Identifier: Apache-2.0
"""The demo's recording as an interactive 3D view: rerun, in a window or in the browser."""
from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ros2_dice.ros.playback import Playback


def show(recording: Path) -> None:
    """Open the view; without a display, serve it to a browser until Ctrl-C."""
    import rerun

    start(recording.parent.name)
    if has_display():
        rerun.spawn()
        log_recording(recording)
        return
    address = rerun.serve_grpc()
    rerun.serve_web_viewer(connect_to=address, open_browser=False)
    log_recording(recording)
    print(f'Open {viewer_url(address)} in a browser; Ctrl-C ends it')
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        pass


def viewer_url(address: str) -> str:
    """Return where a browser finds the view of a server; a plus in a query would be a space."""
    return f'http://localhost:9090?url={quote(address, safe="")}'


def has_display() -> bool:
    """Tell whether a window can be opened."""
    return sys.platform in ('darwin', 'win32') or bool(
        os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'))


def start(name: str) -> None:
    """Name the recording, and say how it is laid out: 3D beside the picture and two curves."""
    import rerun
    from rerun import blueprint

    rerun.init('ros2_dice', recording_id=f'ros2_dice {name} {time.time_ns()}',
               default_blueprint=blueprint.Blueprint(blueprint.Horizontal(
                   blueprint.Spatial3DView(origin='/', name='meshes'),
                   blueprint.Vertical(
                       blueprint.Spatial2DView(origin='/camera', name='camera'),
                       blueprint.TimeSeriesView(origin='/touch', name='touch and distance'),
                       row_shares=[2, 1]))))


def log_recording(recording: Path) -> int:
    """
    Send every frame of a recording to the view; return their number.

    Raises:
        ImageError: the recording can't be read.
    """
    import rerun

    from ros2_dice.render import Overlay
    from ros2_dice.render.overlay import surfaces

    rerun.log('/', rerun.ViewCoordinates.RDF, static=True)  # x right, y down, z forward
    first_ns, count, shown = 0, 0, set()
    with Playback(recording) as playback:
        topologies = {topology.topology_id: topology for topology in playback.topologies()}
        overlay = Overlay(list(topologies.values()))
        for frame in playback.frames():
            first_ns, count = first_ns or frame.stamp_ns, count + 1
            rerun.set_time('image', duration=1e-9 * (frame.stamp_ns - first_ns))
            camera = frame.camera
            rerun.log('camera', rerun.Pinhole(
                image_from_camera=np.array([[camera.fx_px, 0, camera.cx_px],
                                            [0, camera.fy_px, camera.cy_px], [0, 0, 1]]),
                resolution=[camera.width_px, camera.height_px],
                camera_xyz=rerun.ViewCoordinates.RDF, image_plane_distance=1.2))
            if frame.jpeg is not None:
                rerun.log('camera/image', rerun.EncodedImage(contents=frame.jpeg,
                                                             media_type='image/jpeg'))
            now = set()
            estimates = frame.estimates
            for index, surface in enumerate(surfaces(topologies, estimates)):
                path = f'people/{index}_{surface.topology.part.name.lower()}'
                now.add(path)
                rerun.log(path, rerun.Mesh3D(
                    vertex_positions=surface.vertices_m,
                    triangle_indices=surface.topology.faces,
                    vertex_normals=overlay.normals(surface),
                    vertex_colors=np.clip(surface.colours_bgr()[:, ::-1], 0, 255).astype(
                        np.uint8)))
            for estimate in estimates:
                if estimate.hand_id:
                    rerun.log(f'touch/{estimate.hand_id}/probability',
                              rerun.Scalars(estimate.contact_probability))
                    rerun.log(f'touch/{estimate.hand_id}/distance_m',
                              rerun.Scalars(estimate.min_distance_m))
            for path in shown - now:
                rerun.log(path, rerun.Clear(recursive=False))
            shown = now
    return count
