//! The same topology in containers: the Compose files of `compose/`, driven as [`crate::Stack`]
//! drives the native one.
//!
//! * [`compose`]: one project of Docker Compose, and whether there is a Docker at all;
//! * [`engine`]: what the containers use, from the engine's own interface;
//! * [`stack`]: the four services, from the image to their removal.

pub mod compose;
pub mod engine;
pub mod stack;

pub use compose::{Compose, unavailable};
pub use stack::{DockerOptions, DockerStack};
