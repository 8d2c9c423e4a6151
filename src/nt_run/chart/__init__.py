"""Pictures of a run.

    view        a run as arrays: no screen, no vendor
    indicators  averages and bands
    levels      what half a million bars look like on a screen
    ticks       where axes are labelled
    theme       colours and sizes
    display     can a chart be drawn here?
    draw        the door: a window, or files
    scene       the door to Qt: `show_window`, `save_png`
    stage       the finplot window with its panes; behind it panes, items, flows, axes, marks and lane (trades;
                crowd says how), header, plates, captions, legend, and qt, the door to the vendors
    page        the run as one HTML file: overview and sections (what it says beside the chart), packing (its
                numbers), web/ (its scripts, style sheet and lightweight-charts)
    writing     files whole or not at all

Importing this package, `view`, `draw` or `page` loads no vendor of screens; a chart does.
"""
