//! Exchange with other systems by files: pure, from bytes to records and commands. What sends them is the command line.

pub mod csv;
pub mod fields;
pub mod goods;
pub mod key;
pub mod network;
pub mod plan;
pub mod reprice;
pub mod table;
pub mod value;
