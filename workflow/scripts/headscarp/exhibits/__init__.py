"""Station `exhibits`: tables and figures, drawn from scores, maps and layers only."""
