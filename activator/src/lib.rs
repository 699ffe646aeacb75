//! Holds requests until a revision has capacity.
