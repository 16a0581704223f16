"""The first renderer: schematic faces of polygons, drawn with OpenCV."""

from benchmark.standin.drawn.identity import draw_identity as draw_identity
from benchmark.standin.drawn.landmarks import draw_landmarks as draw_landmarks
from benchmark.standin.drawn.render import render_face as render_face
