"""Pure functions that score outlines, boxes and verdicts; import them from their files, which differ in weight."""
