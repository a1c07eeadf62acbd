//! Numbers that look random and are the same in every run.

/// A generator (splitmix64) with its seed.
pub(super) struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, faces: u64) -> bool {
        self.below(faces) == 0
    }

    pub(super) fn small(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).expect("a small number")
    }

    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let place = usize::try_from(self.below(choices.len() as u64)).expect("a small number");
        choices[place].clone()
    }
}
