//! The loop that owns a partition, over the store in memory and over stores that fail, with handlers that are plain
//! functions from a snapshot to an answer.

mod damage;
mod failing;
mod fetches;
mod life;
mod world;
