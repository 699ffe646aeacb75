//! Laptop mode: files as the object source, processes as pods.
