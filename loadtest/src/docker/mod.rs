//! The same topology in containers: the Compose files of `compose/`, driven as [`crate::Stack`]
//! drives the native one.
//!
//! * [`compose`]: one project of Docker Compose, and whether there is a Docker at all;
//! * [`engine`]: what the containers use, from the engine's own interface;
//! * [`ports`]: whether this machine has ports enough for Docker's proxy;
//! * [`stack`]: the four services, from the image to their removal;
//! * [`commands`]: `--stack docker` of the command line.

pub mod commands;
pub mod compose;
pub mod engine;
pub mod ports;
pub mod stack;

pub use compose::{Compose, unavailable};
pub use stack::{DockerOptions, DockerStack};
