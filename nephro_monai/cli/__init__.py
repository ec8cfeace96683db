"""One file per command of `nephro`: arguments in, calls down, no logic."""
