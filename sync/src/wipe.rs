//! What a device does that is shut out for good: it pushes what it has captured, which goes to quarantine, and then erases
//! what it holds if it is told to.

/// What a device that is shut out is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutOut {
    /// It may keep what it holds.
    Keep,
    /// It is to erase what it holds.
    Wipe,
}

/// What the device does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It pushes what waits.
    Push,
    /// It erases replica, outbox and tokens, and does nothing more until somebody logs in on it as on a new installation.
    Erase,
    /// It keeps everything: nobody knows yet whether the push was taken. The next call tells it the same again.
    Later,
    /// It keeps everything, and there is nothing more to be done.
    Stop,
}

/// What a refusal says to a device by its reason and the `wipe` of its metadata; `None`: it is not shut out.
#[must_use]
pub fn shut_out(reason: &str, wipe: Option<&str>) -> Option<ShutOut> {
    (reason == "DEVICE_REVOKED").then_some(if wipe == Some("true") { ShutOut::Wipe } else { ShutOut::Keep })
}

impl ShutOut {
    /// The next step of a device in whose outbox something `waits`, or not; `pushed` is the gRPC code with which the push since
    /// it was told has ended, 0 if it was taken. What the server refuses for good it will never take, and is erased, too.
    #[must_use]
    pub fn next(self, waits: bool, pushed: Option<i32>) -> Step {
        match (waits, pushed) {
            (true, None | Some(0)) => Step::Push,
            (true, Some(code)) if !is_for_good(code) => Step::Later,
            _ if self == Self::Wipe => Step::Erase,
            _ => Step::Stop,
        }
    }
}

/// INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAUTHENTICATED: the same would be said again.
fn is_for_good(code: i32) -> bool {
    matches!(code, 3 | 7 | 9 | 12 | 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn c30_only_a_revoked_device_that_is_told_so_wipes() {
        assert_eq!(shut_out("DEVICE_REVOKED", Some("true")), Some(ShutOut::Wipe));
        assert_eq!(shut_out("DEVICE_REVOKED", Some("false")), Some(ShutOut::Keep));
        assert_eq!(shut_out("DEVICE_REVOKED", None), Some(ShutOut::Keep));
        assert_eq!(shut_out("SESSION_ENDED", Some("true")), None);
    }

    #[test]
    fn c30_what_waits_is_pushed_before_anything_is_erased() {
        assert_eq!(ShutOut::Wipe.next(true, None), Step::Push);
        assert_eq!(ShutOut::Wipe.next(true, Some(14)), Step::Later, "the server is not there");
        assert_eq!(ShutOut::Wipe.next(true, Some(7)), Step::Erase, "it does not take it any more");
        assert_eq!(ShutOut::Wipe.next(false, Some(0)), Step::Erase);
        assert_eq!(ShutOut::Wipe.next(false, None), Step::Erase, "there was nothing");
    }

    proptest! {
        #[test]
        fn c30_nothing_is_erased_that_was_not_pushed_or_without_being_told(waits: bool, pushed in proptest::option::of(0..17_i32)) {
            prop_assert_ne!(ShutOut::Keep.next(waits, pushed), Step::Erase);
            let erases = ShutOut::Wipe.next(waits, pushed) == Step::Erase;
            prop_assert!(!erases || !waits || pushed.is_some_and(is_for_good));
            prop_assert_eq!(erases, ShutOut::Keep.next(waits, pushed) == Step::Stop, "otherwise both do the same");
        }
    }
}
