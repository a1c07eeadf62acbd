//! The messages and services of Roundsman, generated from the `.proto` files beside this crate.
//!
//! The comments in those files are the manual for app developers; nothing is added here.

mod roundsman {
    macro_rules! package {
        ($name:ident) => {
            pub mod $name {
                pub mod v1 {
                    include!(concat!(env!("OUT_DIR"), "/roundsman.", stringify!($name), ".v1.rs"));
                }
            }
        };
    }
    package!(admin);
    package!(auth);
    package!(logistics);
    package!(supervision);
    package!(sync);
    package!(trade);
}

pub use roundsman::{
    admin::v1 as admin, auth::v1 as auth, logistics::v1 as logistics, supervision::v1 as supervision, sync::v1 as sync,
    trade::v1 as trade,
};

/// All files as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/roundsman.bin"));
