//! The harness of the tests: the whole app in one value.
