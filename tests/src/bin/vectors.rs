//! `make vectors`: writes the test vectors anew.

use std::io;

fn main() -> io::Result<()> {
    roundsman_tests::vectors::families().iter().try_for_each(|family| std::fs::write(family.path(), family.text()))
}
