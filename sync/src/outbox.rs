//! The commands that a device captured and has not yet seen through.
