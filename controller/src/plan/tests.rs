use super::*;
use crate::observed::{Failure, Observation};
use crate::settings::Garbage;

mod properties;
mod revisions;
mod routes;
mod services;
mod world;

use world::{World, service};
