//! The Backstitch server: durable functions over plain HTTP.
