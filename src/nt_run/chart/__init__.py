"""Pictures of a run.

    view        a run as arrays: no screen, no vendor
    indicators  averages and bands
    levels      what half a million bars look like on a screen
    ticks       where axes are labelled
    theme       colours and sizes
    display     can a chart be drawn here?
    scene       the door: `show_window`, `save_png`
    stage       the finplot window with its panes; behind it panes, items, flows, marks, axes, plates,
                captions, and qt, the door to the vendors

Importing this package, `view` or `scene` loads no vendor of screens; a chart does.
"""
