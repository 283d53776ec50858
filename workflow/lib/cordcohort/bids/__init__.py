"""From BIDS folders to one index: every scan, mask and score of a study, found once."""
